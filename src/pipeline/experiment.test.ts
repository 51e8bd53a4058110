import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expandToy } from '../../test/suites/toy-stages.ts';
import { InputError, Rng } from '../base/index.ts';
import { acquireLock } from '../base/lock.ts';
import { manifestSchema, parseRecipe, type Results, stableResults } from '../contracts/index.ts';
import {
  checkPublished,
  checkRequirement,
  compareResults,
  flattenResults,
  listRuns,
  loadRecipe,
  readManifest,
  readResults,
  runExperiment,
} from './index.ts';
import { readLog } from './log.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'experiment-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const TEXT = 'name: toy\nmodels: { source: a, target: b }\n';
const run = (out: string, overrides: string[] = [], jobs = 2) =>
  runExperiment({
    parsed: parseRecipe([{ file: 'toy.yaml', text: TEXT }], overrides),
    expand: expandToy,
    out: join(root, out),
    jobs,
  });

describe('run folder', () => {
  it('holds manifest, results, log and what stages publish', async () => {
    const { manifest } = await run('one', ['seed=7']);
    const out = join(root, 'one');
    const written = await readManifest(out);
    expect(manifestSchema.parse(written)).toEqual(manifest);
    expect(written).toMatchObject({ status: 'done', name: 'toy', seeds: { experiment: 7 } });
    expect(written.config.given).toEqual({ name: 'toy', models: { source: 'a', target: 'b' }, seed: 7 });
    expect(written.stages.map((s) => [s.id, s.status])).toEqual([
      ['toy.draw', 'done'],
      ['toy.scale.left', 'done'],
      ['toy.scale.right', 'done'],
      ['toy.total', 'done'],
    ]);
    const results = await readResults(out);
    expect(Object.keys(results.timings)).toContain('toy.scale.left');
    expect(results.peak_memory_bytes).toBeGreaterThan(1e6);
    expect(await readFile(join(out, 'samples/toy.jsonl'), 'utf8')).toMatch(/^\{"id":"toy\/1",.*\}\n$/);
    expect(await readdir(join(out, 'maps/all'))).toEqual(['samples.jsonl']);
    const log = readLog(`${await readFile(join(out, 'log.jsonl'), 'utf8')}{"cut sho`);
    expect(log.filter((line) => line.state === 'done').map((line) => line.stage)).toHaveLength(4);
    expect(await listRuns(root)).toMatchObject([{ name: 'toy', status: 'done' }]);
  });

  it('is the same bytes from a first run, from the store, and in another order, times aside', async () => {
    const text = async (out: string) =>
      (await readFile(join(root, out, 'results.json'), 'utf8')).replace(
        /("toy\.\S+|"peak_memory_bytes"): [\d.]+/g,
        '$1',
      );
    await run('first/run');
    const first = await text('first/run');
    await run('first/run');
    expect(await text('first/run')).toBe(first);
    await run('second/run', [], 1);
    expect(await text('second/run')).toBe(first);
  });

  it('refuses a folder that is no run folder, and what somebody put where it publishes', async () => {
    await mkdir(join(root, 'project'));
    await writeFile(join(root, 'project/manifest.json'), '{"manifest_version": 3}');
    await expect(run('project')).rejects.toThrow(
      /project: holds files and is no run folder \(manifest.json\)/,
    );
    await mkdir(join(root, 'mine/maps/all'), { recursive: true });
    await run('other/run');
    await cp(join(root, 'other/run/manifest.json'), join(root, 'mine/manifest.json'));
    await writeFile(join(root, 'mine/maps/all/thesis.tex'), 'years of work');
    await expect(run('mine')).rejects.toThrow(/maps\/all: is there, and no run wrote it/);
    expect(await readdir(join(root, 'mine/maps/all'))).toEqual(['thesis.tex']);
  });

  it('finds changed bytes by name, and the next run mends them', async () => {
    const out = join(root, 'one');
    await run('one');
    const files = ['results.json', 'manifest.json', 'maps/all/samples.jsonl'];
    const whole = await Promise.all(files.map((file) => readFile(join(out, file), 'utf8')));
    const read = async () => {
      await readManifest(out);
      await readResults(out);
      await checkPublished(out, 'maps/all/samples.jsonl');
    };
    for (const [i, file] of files.entries()) {
      await writeFile(
        join(out, file),
        whole[i]!.replace(/\d(?=\D*$)/, (d) => String((Number(d) + 1) % 10)),
      );
      await expect(read(), file).rejects.toThrow(new RegExp(`${file}:? was changed`));
      await run('one');
      await read();
    }
    await rm(join(out, 'maps/all/samples.jsonl'));
    await expect(read()).rejects.toThrow(/samples.jsonl: is missing/);
    await writeFile(join(out, '.published.json'), '{"files": {}, "keys": {}, "sha256": ""}'); // invalid: absent
    await run('one');
    await read();
    expect(await readFile(join(out, files[2]!), 'utf8')).toBe(whole[2]);
  });

  it('whose process is gone is interrupted; one broken folder does not hide the others', async () => {
    const out = join(root, 'one');
    await run('one');
    const { sha256: _, ...done } = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'));
    const running = { ...done, status: 'running' };
    await writeFile(join(out, 'manifest.json'), JSON.stringify(running));
    await mkdir(join(root, 'broken'));
    await writeFile(join(root, 'broken/manifest.json'), 'null');
    expect(await listRuns(root)).toMatchObject([
      { name: 'toy', status: 'interrupted' },
      { name: 'broken', status: 'broken', error: expect.stringContaining('manifest.json does not fit') },
    ]);
    expect((await readManifest(out)).status).toBe('interrupted');
    await using _lock = await acquireLock(join(out, '.lock'));
    expect((await readManifest(out)).status).toBe('running');
  });

  it('repeats: one seed the same results, another seed others; a second run takes all from the store', async () => {
    const stable = async (out: string) => stableResults(await readResults(join(root, out)));
    await run('a/run');
    await run('b/run');
    await run('c/run', ['seed=99']);
    expect(await stable('b/run')).toEqual(await stable('a/run'));
    expect(await stable('c/run')).not.toEqual(await stable('a/run'));
    const { manifest } = await run('a/run');
    expect(manifest.stages.map((s) => s.status)).toEqual(['cached', 'cached', 'cached', 'cached']);
  });

  it('belongs to one run at a time', async () => {
    await using _lock = await acquireLock(join(root, 'one/.lock'));
    await expect(run('one')).rejects.toThrow(/in use by process \d+/);
  });

  it('takes over the lock of a process that is gone', async () => {
    await mkdir(join(root, 'one'));
    await writeFile(
      join(root, 'one/.lock'),
      JSON.stringify({ pid: 2 ** 22 + 5, host: (await import('node:os')).hostname(), started: null }),
    );
    expect((await run('one')).manifest.status).toBe('done');
  });

  it('that cannot be written is bad input', async () => {
    await writeFile(join(root, 'file'), '');
    await expect(run('file/sub')).rejects.toThrow(
      /cannot write there \((ENOTDIR|EEXIST)\); choose another folder with --out/,
    );
    await expect(run('file/sub')).rejects.toBeInstanceOf(InputError);
  });
});

describe('kill -9', () => {
  const script = fileURLToPath(new URL('../../test/suites/toy-run.ts', import.meta.url));
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

  /** Start a run and kill it `delay` ms after its event number `events`; resolves to whether it finished before. */
  const killed = (out: string, store: string, events: number, delay: number): Promise<boolean> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, ['--import', loader, script, out, store], {
        stdio: ['ignore', 'pipe', 'ignore'],
        env: { ...process.env, TOY_MILLISECONDS: '15' },
      });
      let seen = 0;
      child.stdout.on('data', (dots: Buffer) => {
        if (seen < events && seen + dots.length >= events) setTimeout(() => child.kill('SIGKILL'), delay);
        seen += dots.length;
      });
      child.once('exit', (code) => resolve(code === 0));
    });

  it('at random moments, then resumed: the same results, byte for byte', async () => {
    const rng = new Rng(5);
    const [out, store] = [join(root, 'killed'), join(root, 'killed-store')];
    let kills = 0;
    while (!(await killed(out, store, 1 + rng.int(10) + kills * 2, rng.int(20)))) kills++;
    expect(kills).toBeGreaterThan(1);
    expect(await killed(join(root, 'calm'), join(root, 'calm-store'), Number.POSITIVE_INFINITY, 0)).toBe(
      true,
    );
    const results = async (folder: string) =>
      JSON.stringify(stableResults(await readResults(join(root, folder))));
    expect(await results('killed')).toBe(await results('calm'));
    const [a, b] = [await contents(store), await contents(join(root, 'calm-store'))];
    expect([...a.keys()]).toEqual([...b.keys()]);
    expect(a).toEqual(b);
  }, 120_000);

  async function contents(folder: string): Promise<Map<string, string>> {
    const files = (await readdir(folder, { recursive: true }))
      .filter((name) => /\.jsonl?$/.test(name))
      .sort();
    const kept = files.filter((name) => !name.endsWith('meta.json'));
    return new Map(
      await Promise.all(
        kept.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const),
      ),
    );
  }
});

describe('loadRecipe', () => {
  it('finds bundled names, follows extends, names a run after its file', async () => {
    expect((await loadRecipe('quick')).recipe.name).toBe('quick');
    await writeFile(join(root, 'my run.yaml'), 'extends: demo\nsweep: { prompts: 9 }\n');
    const mine = await loadRecipe(join(root, 'my run.yaml'), { set: ['heatmap=false'], seed: 3, limit: 5 });
    expect(mine.recipe).toMatchObject({ name: 'my-run', seed: 3, heatmap: false, sweep: { prompts: 5 } });
    await writeFile(join(root, 'b.yaml'), TEXT.replace('name: toy\n', ''));
    expect((await loadRecipe(join(root, 'b.yaml'))).recipe.name).toBe('b');
    await writeFile(join(root, 'loop.yaml'), 'extends: ./loop.yaml\n');
    await expect(loadRecipe(join(root, 'loop.yaml'))).rejects.toThrow('extends itself');
    await expect(loadRecipe('dmeo')).rejects.toThrow('dmeo: no such recipe; did you mean "demo"?');
    await expect(loadRecipe(join(root, 'none.yaml'))).rejects.toThrow('none.yaml: cannot be read');
  });
});

describe('figures by path', () => {
  const rate = (value: number) => ({ value, n: 10, ci95: [0, 1] as [number, number] });
  const results = (value: number): Results => ({
    schema_version: 1,
    behaviours: [
      {
        pair: { source: 'a', target: 'b', behaviour: 'locked', placement: 'end', span: { after: 1 } },
        strip_trigger: rate(value),
      },
    ],
    timings: { draw: 1 },
    peak_memory_bytes: 5,
  });

  it('flatten, compare and require', () => {
    expect(flattenResults(results(0.5))).toContainEqual({
      path: 'behaviours.locked.strip_trigger',
      value: 0.5,
      n: 10,
      ci95: [0, 1],
    });
    expect(compareResults(results(0.5), results(0.75))).toEqual([
      { path: 'behaviours.locked.strip_trigger', a: 0.5, b: 0.75 },
    ]);
    expect(checkRequirement(results(0.5), 'locked.strip_trigger>=0.5').met).toBe(true);
    expect(checkRequirement(results(0.5), 'locked.strip_trigger > 0.5').met).toBe(false);
    expect(() => checkRequirement(results(0.5), 'locked.strip_triger>=0.5')).toThrow(
      'did you mean "locked.strip_trigger"?',
    );
    expect(() => checkRequirement(results(0.5), 'locked')).toThrow('wanted key>=number');
  });
});
