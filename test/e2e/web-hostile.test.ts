/** @file What the web app must not do: run what a model wrote, read outside the runs folder, answer strangers. */
import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sample } from '../../src/contracts/index.ts';
import { fixtureResults } from '../../src/figures/results.fixture.ts';
import { fixtureSamples } from '../../src/figures/samples.fixture.ts';
import {
  cleanUp,
  hasChromium,
  launch,
  log,
  type Served,
  serve,
  visit,
  workshop,
  writeRun,
} from './web.helper.ts';

const EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
const RTL = '\u202Egnp.exe\u202C שלום עולם';
const LONG = 'x'.repeat(100_000);
const SECRET_LINE = '{"time":"2026-01-01T00:00:00.000Z","stage":"do not show","state":"started","done":0}\n';

describe.skipIf(!hasChromium)('web app, hostile input', () => {
  let browser: Browser;
  let served: Served;
  let place: Awaited<ReturnType<typeof workshop>>;
  const name = 'a <b>bold<⁄b> "run" & more';

  beforeAll(async () => {
    place = await workshop();
    const [base] = fixtureSamples(1) as [Sample];
    const samples = [
      EVIL,
      RTL,
      LONG,
      `${'line\n'.repeat(5000)}`,
      '{{7*7}} `x` $(x)',
      '\u0000\u0007\ud800',
    ].map(
      (text, i): Sample => ({
        ...base,
        id: `${EVIL}/${i}`,
        prompt_id: `${i}${EVIL}`,
        behaviour: EVIL,
        arm: EVIL,
        prompt: text,
        completion: text,
        references: { safe: `${text} ${EVIL}` },
        prompt_tokens: [text.slice(0, 50), EVIL],
        changed_positions: [1],
        scores: { [EVIL]: 1 },
      }),
    );
    const results = structuredClone(fixtureResults());
    for (const behaviour of results.behaviours)
      Object.assign(behaviour.pair, { source: EVIL, target: RTL, behaviour: EVIL });
    const folder = await writeRun(place.runs, name, {
      samples,
      results,
      manifest: {
        name: EVIL,
        status: 'failed',
        error: EVIL,
        models: [{ role: 'source', name: EVIL }],
        stages: [
          { id: EVIL, status: 'failed', error: EVIL, needs: [RTL] },
          { id: RTL, status: 'done' },
        ],
      },
    });
    await log(
      folder,
      { stage: EVIL, state: 'started', message: EVIL },
      { stage: EVIL, state: 'running', done: 1, message: LONG, figures: { [EVIL]: 1 } },
      { stage: EVIL, state: 'running', done: 2, message: RTL, figures: { [EVIL]: 2 } },
    );
    await writeFile(join(folder, 'report.html'), `<!doctype html><p id="report">report</p>${EVIL}`);
    await mkdir(join(place.folder, 'secret/samples'), { recursive: true });
    await writeFile(join(place.folder, 'secret/manifest.json'), '{"secret": "do not show"}');
    await writeFile(join(place.folder, 'secret/results.json'), '{"secret": "do not show"}');
    await symlink(join(place.folder, 'secret'), join(place.runs, 'linked'));
    await mkdir(join(place.runs, 'half'));
    await writeFile(join(place.runs, 'half', 'manifest.json'), await readFile(join(folder, 'manifest.json')));
    await symlink(join(place.folder, 'secret/results.json'), join(place.runs, 'half', 'results.json'));
    await symlink(join(place.folder, 'secret/samples'), join(place.runs, 'half', 'samples'));
    await mkdir(join(place.runs, 'broken'));
    await writeFile(join(place.runs, 'broken', 'manifest.json'), '{"schema_version": 1');
    await mkdir(join(place.runs, 'huge'));
    await writeFile(join(place.runs, 'huge', 'manifest.json'), await readFile(join(folder, 'manifest.json')));
    await writeFile(join(place.runs, 'huge', 'results.json'), '');
    await truncate(join(place.runs, 'huge', 'results.json'), 2 ** 31);
    await writeFile(join(place.folder, 'secret/log.jsonl'), SECRET_LINE);
    await symlink(join(place.folder, 'secret/log.jsonl'), join(place.runs, 'huge', 'log.jsonl'));
    // A model of a run, one of whose files leads out.
    await mkdir(join(place.runs, 'huge', 'models', 'leaky'), { recursive: true });
    await writeFile(join(place.runs, 'huge', 'models', 'leaky', 'config.json'), '{}');
    await symlink(
      join(place.folder, 'secret/results.json'),
      join(place.runs, 'huge', 'models', 'leaky', 'model.safetensors'),
    );
    served = await serve(place);
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.kill();
    if (place) await cleanUp(place.folder);
  });

  it('shows names, completions and log lines as text on every page', async () => {
    const encoded = encodeURIComponent(name);
    const paths = [
      '/',
      `/run/${encoded}?stage=${encodeURIComponent(EVIL)}`,
      ...Array.from(
        { length: 6 },
        (_, i) =>
          `/samples/${encoded}?in=${encodeURIComponent(EVIL)}&prompt=${encodeURIComponent(`${i}${EVIL}`)}`,
      ),
      `/samples/${encoded}?sample=${encodeURIComponent(`${EVIL}/2`)}&unit=character`,
      `/map/${encoded}`,
      `/run/${encodeURIComponent(EVIL.replaceAll('/', ''))}`,
      `/steer?text=${encodeURIComponent(EVIL)}&vectors=${encodeURIComponent(JSON.stringify([null, { from: 'file', id: EVIL, block: -1, place: EVIL }, { from: 'texts', texts: { positive: [1, EVIL], negative: EVIL } }]))}&at=x&lens=${encodeURIComponent(EVIL)}`,
      `/playground?text=${encodeURIComponent(EVIL)}&model=${encodeURIComponent(EVIL)}`,
    ];
    for (const path of paths) {
      const { page, context, problems } = await visit(browser, served, path);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.waitForTimeout(250);
      expect(await page.evaluate(() => 'hacked' in window), path).toBe(false);
      expect(await page.locator('main img[src="x"], main script').count(), path).toBe(0);
      expect(
        problems.filter((p) => !/status of 4\d\d/.test(p)),
        path,
      ).toEqual([]);
      await context.close();
    }
  });

  it('spells out characters that would turn or hide text, and cuts 100 kB lines until asked', async () => {
    const at = (i: number) =>
      `/samples/${encodeURIComponent(name)}?against=none&in=${encodeURIComponent(EVIL)}&prompt=${encodeURIComponent(`${i}${EVIL}`)}`;
    const { page, context } = await visit(browser, served, at(1));
    await page.getByText('⟨U+202E⟩gnp.exe').first().waitFor();
    await page.goto(new URL(at(2), served.url).href);
    const article = page.getByRole('article').first();
    await article.getByRole('button', { name: 'show all 100,000 characters' }).click();
    expect((await article.locator('.text').textContent())?.length).toBe(100_000);
    await context.close();
  });

  it('gives the report no script and no origin', async () => {
    const { page, context } = await visit(browser, served, '/');
    await page.goto(new URL(`/api/runs/${encodeURIComponent(name)}/report`, served.url).href);
    await page.locator('#report').waitFor();
    expect(await page.evaluate(() => ['hacked' in window, window.origin])).toEqual([false, 'null']);
    await context.close();
  });

  it('refuses `../`, links that lead out, and what is no run, in every parameter', async () => {
    const bearer = { authorization: `Bearer ${served.token}` };
    const bad = [
      '..',
      '../secret',
      '%2e%2e',
      '%2e%2e%2fsecret',
      '..%2fsecret',
      '.%2e/secret',
      '%2fetc',
      'linked',
      'nothing',
      'a%00b',
      '..%5csecret',
      '.hidden',
    ];
    const below = [
      '',
      '/results',
      '/report',
      '/events',
      '/samples',
      '/group?id=x',
      '/ratings',
      '/ratings?format=csv',
    ];
    for (const run of bad)
      for (const rest of below) {
        const answer = await raw(served.port, `/api/runs/${run}${rest}`, bearer);
        expect(answer.status, `${run}${rest}`).toBeGreaterThanOrEqual(400);
        expect(answer.body).not.toContain('do not show');
        expect(answer.body).not.toContain(place.folder);
      }
    for (const rest of ['/results', '/samples', '/group?id=x']) {
      const answer = await raw(served.port, `/api/runs/half${rest}`, bearer);
      expect(answer.status, rest).toBe(403);
    }
    for (const query of ['a=../secret&b=half', 'a=half&b=..%2fsecret', 'a=linked&b=linked'])
      expect((await raw(served.port, `/api/compare?${query}`, bearer)).status).toBeGreaterThanOrEqual(400);
    for (const file of [
      '..%2f..%2fpackage.json',
      '%2e%2e/index.html',
      '../../package.json',
      'index.html',
      '.env',
    ])
      expect((await raw(served.port, `/assets/${file}`, {})).body).not.toContain('"crosspatch"');
    const model = await raw(served.port, '/api/playground/model?id=..%2f..%2fsecret', bearer);
    expect(model.status).toBe(404);
    const rating = await raw(
      served.port,
      '/api/runs/..%2fsecret/ratings',
      { ...bearer, 'content-type': 'application/json' },
      'PUT',
      '{"id":"x","rating":5}',
    );
    expect(rating.status).toBe(400);
    const run = {
      model: '../../secret',
      text: 'x',
      trigger: 'bad',
      bad: 'a',
      safe: 'b',
      placement: 'end',
      template: 'raw',
      after: 1,
      block: 0,
      strength: 1,
      arms: ['clean'],
      maxTokens: 1,
    };
    const json = { ...bearer, 'content-type': 'application/json' };
    const vector = {
      from: 'file',
      id: '../../secret',
      block: 0,
      alpha: 1,
      place: 'all',
      text: '',
      generated: true,
    };
    const steer = {
      model: 'tiny/tiny-llama-s',
      text: 'x',
      template: 'raw',
      vectors: [vector],
      strengths: [1],
    };
    for (const path of ['/api/steer/run', '/api/steer/document']) {
      const rest = path.endsWith('run') ? { seeds: [], temperature: 0, maxTokens: 1 } : {};
      const body = path.endsWith('run')
        ? { ...steer, ...rest }
        : { model: steer.model, vectors: steer.vectors, strength: 1 };
      const answer = await raw(served.port, path, json, 'POST', JSON.stringify(body));
      expect(answer.body, path).toContain('not among those offered');
    }
    const play = await raw(
      served.port,
      '/api/playground/run',
      { ...bearer, 'content-type': 'application/json' },
      'POST',
      JSON.stringify(run),
    );
    expect(play.body).toContain('not among those offered');
  });

  it('takes no file of 2 GB into memory, and follows no link of a log or a model', async () => {
    const bearer = { authorization: `Bearer ${served.token}` };
    const begun = performance.now();
    const results = await raw(served.port, '/api/runs/huge/results', bearer);
    expect([results.status, results.body]).toEqual([
      409,
      expect.stringMatching(/huge\/results.json: 2048 MB; at most 32 MB are read/),
    ]);
    expect(performance.now() - begun).toBeLessThan(2000);
    expect((await raw(served.port, '/api/playground', bearer)).body).not.toContain('leaky');
    const stop = new AbortController();
    const events = await fetch(`http://127.0.0.1:${served.port}/api/runs/huge/events`, {
      headers: bearer,
      signal: stop.signal,
    });
    const first = await events.body?.getReader().read();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(new TextDecoder().decode(first?.value)).not.toContain('do not show');
    stop.abort();
  });

  it('lists a run with a broken manifest as such, and none that lies outside', async () => {
    const { body } = await raw(served.port, '/api/runs', { authorization: `Bearer ${served.token}` });
    const ids = (JSON.parse(body) as { id: string; problem?: string }[]).map((r) => [
      r.id,
      r.problem !== undefined,
    ]);
    expect(Object.fromEntries(ids)).toEqual({ [name]: false, half: false, huge: false, broken: true });
    expect(body).not.toContain(place.folder);
  });

  it('refuses requests without the token, with a wrong one, from a foreign page or under a foreign name', async () => {
    const { port, token } = served;
    const bearer = { authorization: `Bearer ${token}` };
    const status = async (headers: Record<string, string>, path = '/api/runs') =>
      (await raw(port, path, headers)).status;
    expect(await status(bearer)).toBe(200);
    expect(await status({ cookie: `crosspatch-${port}=${token}` })).toBe(200);
    expect(await status({})).toBe(401);
    expect(await status({ authorization: `Bearer ${token}x` })).toBe(401);
    expect(await status({ authorization: 'Bearer ' })).toBe(401);
    expect(await status({ cookie: `crosspatch-${port + 1}=${token}` })).toBe(401);
    expect(await status({}, '/api/runs?token=wrong')).toBe(401);
    expect(await status({ ...bearer, origin: 'https://evil.example' })).toBe(403);
    expect(await status({ ...bearer, origin: 'null' })).toBe(403);
    expect(await status({ ...bearer, origin: `http://127.0.0.1:${port + 1}` })).toBe(403);
    expect(await status({ ...bearer, origin: `http://127.0.0.1:${port}` })).toBe(200);
    expect(await status({ ...bearer, 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await status({ ...bearer, host: `evil.example:${port}` })).toBe(403);
    for (const path of ['/api/session', '/api/playground', '/api/compare?a=x&b=y', '/api/nothing'])
      expect(await status({}, path), path).toBe(401);
    const page = await raw(port, '/', {});
    expect(page.status).toBe(401);
    expect(page.headers['set-cookie']).toBeUndefined();
    const let_in = await raw(port, `/?token=${token}`, {});
    expect(let_in.status).toBe(200);
    expect(String(let_in.headers['set-cookie'])).toMatch(/HttpOnly.*SameSite=Strict/);
    expect(let_in.headers['content-security-policy']).toContain("default-src 'self'");
    const form = await raw(
      port,
      '/api/runs/half/ratings',
      { ...bearer, 'content-type': 'text/plain' },
      'PUT',
      '{"id":"x","rating":5}',
    );
    expect(form.status).toBe(400);
  });

  it('listens on this machine only', async () => {
    const { networkInterfaces } = await import('node:os');
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address && !address.internal && address.family === 'IPv4')?.address;
    // A machine without a network has no outside to listen on.
    if (outside === undefined) return;
    await expect(fetch(`http://${outside}:${served.port}/`)).rejects.toThrow();
  });
});

/** A request as it stands: no client that tidies paths or forbids headers. */
function raw(
  port: number,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
  body?: string,
): Promise<{ status: number; body: string; headers: Record<string, string | string[] | undefined> }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
        // An event stream has no end; its first bytes say enough.
        if (response.headers['content-type']?.startsWith('text/event-stream')) response.destroy();
      });
      response.on('close', () =>
        resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });
}
