/** @file Run folders: manifest, results, log, lock and ledger, as `list`, `status` and `show` read them. */
import { join } from 'node:path';
import type { Rng } from '../../../src/base/index.ts';
import { fixtureManifest, fixtureResults } from '../../../src/figures/results.fixture.ts';
import { flattenResults } from '../../../src/pipeline/results-query.ts';
import { listRuns, readManifest, readProgress, readResults } from '../../../src/pipeline/runs.ts';
import { bytesOf, mostly, mutateBytes, mutateFiles, mutateJsonBytes } from '../mutate.ts';
import { type Files, refill, type StartTarget, target } from '../target.ts';

export const start: StartTarget = async (scratch) => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const event = {
    time: '2026-01-01T00:00:00.000Z',
    stage: 'locked.sweep',
    state: 'running',
    done: 3,
    total: 9,
    unit: 'prompts',
  };
  const documents: Record<string, unknown> = {
    'manifest.json': { ...fixtureManifest(), status: 'running' },
    'results.json': fixtureResults(),
    '.lock': { pid: 4_000_000, host: 'elsewhere', started: null },
    '.published.json': { files: {}, keys: {}, sha256: '' },
  };
  const files: Files = { 'log.jsonl': bytes(`${JSON.stringify(event)}\n`.repeat(4)) };
  for (const [name, value] of Object.entries(documents)) files[name] = bytes(JSON.stringify(value));
  const damage = (rng: Rng) => (name: string, content: Uint8Array) =>
    name === 'log.jsonl' ? mutateBytes(rng, content) : mutateJsonBytes(rng, documents[name]);
  const folder = join(scratch, 'runs/one');
  return target<Files>({
    sources:
      /\/src\/pipeline\/(runs|log|ledger|results-query)\.ts|\/src\/contracts\/(results|manifest)\.ts|\/src\/base\/lock\.ts/,
    make: (rng) => mostly(rng, 10, files, () => mutateFiles(rng, files, damage(rng))),
    size: bytesOf,
    async attempt(given) {
      await refill(folder, given);
      await listRuns(join(scratch, 'runs'));
      await readManifest(folder);
      for (const line of (await readProgress(folder)).values()) line.stage.toUpperCase();
      flattenResults(await readResults(folder));
    },
  });
};
