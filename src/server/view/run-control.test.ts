import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock } from '../../base/index.ts';
import { fixtureManifest } from '../../figures/results.fixture.ts';
import { createViewApp } from './app.ts';
import { Finds } from './finds.ts';
import { CHANGE_HEADER, makeGuard } from './guard.ts';
import { ModelProcesses } from './model-process.ts';
import { RunControl } from './run-control.ts';
import { RunsFolder } from './runs-folder.ts';

const OWN = 'http://127.0.0.1:4517';
const RECIPE = 'extends: quick\nname: mine\n';

describe('changes from the web', () => {
  let folder = '';
  let control: RunControl;
  let ask: (
    path: string,
    options?: { body?: unknown; headers?: Record<string, string | undefined>; method?: string },
  ) => Promise<[number, string]>;
  let key: string | undefined;

  /** `command` stands for `crosspatch`. */
  const open = async (command?: readonly string[], readOnly = false) => {
    const runs = await RunsFolder.open(join(folder, 'runs'));
    control = new RunControl(runs, command);
    const guard = makeGuard('token', () => 4517, { readOnly });
    key = guard.changeKey;
    const app = createViewApp({
      runs,
      guard,
      control,
      finds: new Finds(runs),
      processes: new ModelProcesses(),
      webRoot: folder,
      version: '0',
    });
    ask = async (path, { body = {}, headers = {}, method = 'POST' } = {}) => {
      const answer = await app.request(path, {
        method,
        headers: Object.entries({
          host: '127.0.0.1:4517',
          authorization: 'Bearer token',
          'content-type': 'application/json',
          origin: OWN,
          [CHANGE_HEADER]: key,
          ...headers,
        }).filter((entry): entry is [string, string] => entry[1] !== undefined),
        body: method === 'GET' ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
      });
      return [answer.status, await answer.text()];
    };
  };
  const writeRun = async (name: string, change: object = {}) => {
    await mkdir(join(folder, 'runs', name, 'samples'), { recursive: true });
    const manifest = { ...fixtureManifest(), name, ...change };
    await writeFile(join(folder, 'runs', name, 'manifest.json'), JSON.stringify(manifest));
  };
  const left = async () => (await readdir(join(folder, 'runs'))).sort();

  beforeEach(async () => {
    folder = await realpath(await mkdtemp(`${tmpdir()}/crosspatch-control-`));
    await mkdir(join(folder, 'runs'));
    await writeRun('done');
    await open();
  });
  afterEach(async () => {
    await control[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  it('refuses a change from another page, without an origin, without the key, and one that is not JSON', async () => {
    const body = { confirm: 'done' };
    const change = [
      '/api/runs/done/delete',
      '/api/runs/done/stop',
      '/api/runs/done/resume',
      '/api/runs',
      '/api/recipe/validate',
    ];
    for (const path of change) {
      for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:4518', 'http://localhost:4517'])
        expect((await ask(path, { body, headers: { origin } }))[0], `${path} ${origin}`).toBe(403);
      expect((await ask(path, { body, headers: { host: 'evil.example:4517' } }))[0], path).toBe(403);
      expect(await ask(path, { body, headers: { origin: undefined } }), path).toEqual([
        403,
        expect.stringMatching(/no origin/),
      ]);
      expect(await ask(path, { body, headers: { [CHANGE_HEADER]: 'x' } }), path).toEqual([
        403,
        expect.stringMatching(/no key in x-crosspatch-change/),
      ]);
      expect((await ask(path, { body, headers: { authorization: 'Bearer x' } }))[0], path).toBe(401);
      expect((await ask(path, { body, headers: { 'content-type': 'text/plain' } }))[0], path).toBe(400);
      expect((await ask(path, { body: 'x'.repeat(300_000) }))[0], path).toBe(413);
      // Nothing is changed by asking to see it.
      expect((await ask(path, { method: 'GET' }))[0], path).not.toBe(403);
    }
    expect(await left()).toEqual(['done']);
  });

  it('changes nothing when it is read-only, and gives no key', async () => {
    await open(undefined, true);
    expect(key).toBeUndefined();
    expect(await ask('/api/runs/done/delete', { body: { confirm: 'done' } })).toEqual([
      403,
      expect.stringMatching(/--read-only/),
    ]);
    expect((await ask('/api/session', { method: 'GET' }))[1]).not.toContain('changeKey');
    expect(await left()).toEqual(['done']);
  });

  it('deletes a run, and nothing that is none, lies outside, is a link, goes on, or was not confirmed', async () => {
    await mkdir(join(folder, 'secret'));
    await writeFile(join(folder, 'secret', 'manifest.json'), JSON.stringify(fixtureManifest()));
    await symlink(join(folder, 'secret'), join(folder, 'runs', 'outside'));
    await symlink(join(folder, 'runs', 'done'), join(folder, 'runs', 'link'));
    await mkdir(join(folder, 'runs', 'no-run'));
    await writeFile(join(folder, 'runs', 'no-run', 'thesis.txt'), 'mine');
    await mkdir(join(folder, 'runs', 'broken'));
    await writeFile(join(folder, 'runs', 'broken', 'manifest.json'), '{"schema_version": 1');
    await writeRun('going', { status: 'running', finished_at: undefined });
    await writeRun('locked');
    const lock = await acquireLock(join(folder, 'runs', 'locked', '.lock'));
    const before = await left();
    for (const [run, status] of [
      ['..', 404],
      ['%2e%2e', 404],
      ['..%2fsecret', 400],
      ['%2e%2e%2fsecret', 400],
      ['..%5csecret', 400],
      ['.', 404],
      ['%00', 400],
      ['outside', 403],
      ['link', 403],
      ['no-run', 404],
      ['nothing', 404],
      ['broken', 409],
      ['going', 409],
      ['locked', 409],
    ] as const)
      expect(
        (await ask(`/api/runs/${run}/delete`, { body: { confirm: decodeURIComponent(run) } }))[0],
        run,
      ).toBe(status);
    expect(await ask('/api/runs/done/delete', { body: { confirm: 'other' } })).toEqual([
      400,
      expect.stringMatching(/wanted the name done/),
    ]);
    expect(await left()).toEqual(before);
    await lock[Symbol.asyncDispose]();
    expect((await ask('/api/runs/locked/delete', { body: { confirm: 'locked' } }))[0]).toBe(200);
    expect((await ask('/api/runs/done/delete', { body: { confirm: 'done' } }))[0]).toBe(200);
    expect(await left()).toEqual(before.filter((name) => name !== 'locked' && name !== 'done'));
    expect(await readdir(join(folder, 'secret'))).toEqual(['manifest.json']);
  });

  it('starts the command on the recipe, stops it as Ctrl-C does, and deletes what it wrote itself', async () => {
    // Stands for `crosspatch run FILE --out DIR`: a manifest, then work until it is told to stop.
    const script = `
      import { mkdirSync, writeFileSync, readFileSync } from 'node:fs';
      const [, file, , out] = process.argv.slice(1);
      if (readFileSync(file, 'utf8').includes('fails')) { console.error('error: no such model'); process.exit(2); }
      mkdirSync(out, { recursive: true });
      const manifest = ${JSON.stringify(fixtureManifest())};
      const write = (said) => {
        const [status, error] = said.split(' ');
        writeFileSync(out + '/manifest.json', JSON.stringify({ ...manifest, status, error }));
      };
      write('running');
      for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { write('cancelled ' + signal); process.exit(1); });
      setInterval(() => {}, 1000);`;
    await open([process.execPath, '--input-type=module', '-e', script]);
    expect(await ask('/api/runs', { body: { name: 'mine', yaml: RECIPE } })).toEqual([200, '{"run":"mine"}']);
    expect(await readFile(join(folder, 'runs', 'mine.yaml'), 'utf8')).toContain(RECIPE);
    expect((await ask('/api/running', { method: 'GET' }))[1]).toBe('["mine"]');
    expect((await ask('/api/runs', { body: { name: 'mine', yaml: RECIPE } }))[0]).toBe(409);
    expect((await ask('/api/runs/mine/delete', { body: { confirm: 'mine' } }))[0]).toBe(409);
    expect((await ask('/api/runs/done/stop'))[0]).toBe(409);
    expect((await ask('/api/runs/mine/stop'))[0]).toBe(200);
    await expect.poll(async () => (await ask('/api/running', { method: 'GET' }))[1]).toBe('[]');
    // It goes on where it was; one that was started elsewhere does not.
    expect((await ask('/api/runs/mine/resume'))[0]).toBe(200);
    expect((await ask('/api/runs/mine/resume'))[0]).toBe(409);
    expect((await ask('/api/runs/done/resume'))[0]).toBe(409);
    expect((await ask('/api/runs/mine/stop'))[0]).toBe(200);
    await expect.poll(async () => (await ask('/api/running', { method: 'GET' }))[1]).toBe('[]');
    expect((await ask('/api/runs/mine/delete', { body: { confirm: 'mine' } }))[0]).toBe(200);
    expect(await left()).toEqual(['done']);
    // A server that ends stops its runs, once.
    expect((await ask('/api/runs', { body: { name: 'last', yaml: RECIPE } }))[0]).toBe(200);
    await control[Symbol.asyncDispose]();
    expect(JSON.parse(await readFile(join(folder, 'runs/last/manifest.json'), 'utf8'))).toMatchObject({
      status: 'cancelled',
      error: 'SIGTERM',
    });
    expect((await ask('/api/runs/last/delete', { body: { confirm: 'last' } }))[0]).toBe(200);
    // What the command says is what the page says; nothing of a run that never began stays.
    expect(
      await ask('/api/runs', { body: { name: 'other', yaml: `${RECIPE}description: fails\n` } }),
    ).toEqual([400, '{"error":"no such model"}']);
    expect(await left()).toEqual(['done']);
    for (const name of ['../x', '.x', 'a/b', '', 'x y', 'done'])
      expect((await ask('/api/runs', { body: { name, yaml: RECIPE } }))[0], name).toBeGreaterThanOrEqual(400);
    await writeFile(join(folder, 'runs', 'own.yaml'), 'extends: quick\n');
    expect(await ask('/api/runs', { body: { name: 'own', yaml: RECIPE } })).toEqual([
      409,
      expect.stringMatching(/own\.yaml: is there, and this app did not write it/),
    ]);
  });

  it('checks a recipe with line and column, changes one key of it, and begins with that of a run', async () => {
    const check = async (body: object) => JSON.parse((await ask('/api/recipe/check', { body }))[1]);
    expect(await check({ yaml: `${RECIPE}sweep:\n  promts: 10\n` })).toMatchObject({
      total: 1,
      issues: [{ line: 4, column: 3, message: expect.stringMatching(/did you mean "prompts"/) }],
    });
    expect(
      await check({ yaml: '# mine\nextends: quick # why\n', change: { path: 'finetune.steps', value: 7 } }),
    ).toMatchObject({
      yaml: '# mine\nextends: quick # why\nfinetune:\n  steps: 7\n',
      issues: [],
      written: { 'finetune.steps': 7 },
      resolved: { 'models.source': 'tiny-llama-s', behaviours: ['locked'], 'data.test': 60 },
    });
    expect(
      await check({ yaml: 'finetune: false\n', change: { path: 'finetune.steps', value: 7 } }),
    ).toMatchObject({
      yaml: 'finetune: false\n',
      issues: [{ message: expect.stringMatching(/finetune is false in the text/) }],
    });
    const { yaml, name } = JSON.parse((await ask('/api/recipe?run=done', { method: 'GET' }))[1]);
    expect([name, yaml]).toEqual(['done-2', expect.stringMatching(/^name: done-2\n/)]);
    const { fields } = JSON.parse((await ask('/api/recipe/form', { method: 'GET' }))[1]);
    expect(fields).toContainEqual({
      path: 'placement',
      kind: 'choice',
      options: ['prefix', 'middle', 'end'],
      description: 'Where the tag stands in the prompt',
    });
  });
});
