/**
 * @file `npm run flip -- [--flips 200] [--seed 1]`: single flipped bits over every kind of file the program reads back: stage results,
 * training states, captures, maps' seals, pulled models, and what is published into a run folder. Each must be found: made again with the same
 * bytes, refused with the file's name, or (a small file of state) treated as absent.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readCaptureIndex } from '../src/activations/capture-index.ts';
import { readCapture } from '../src/activations/read-capture.ts';
import { brokenSeal, hashBytes, listFiles, Rng, withAtomicFolder } from '../src/base/index.ts';
import { parseRecipe } from '../src/contracts/index.ts';
import { pullModel } from '../src/models/index.ts';
import { checkPublished, readManifest, readResults, runExperiment } from '../src/pipeline/index.ts';
import { expandToy } from '../test/suites/toy-stages.ts';
import { smallCapture, trainingRun } from './faults/small.ts';

const { values } = parseArgs({
  options: { flips: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const root = await mkdtemp(join(tmpdir(), 'crosspatch-flip-'));
const rng = new Rng(Number(values.seed));
const found = new Map<string, { flips: number; found: number }>();

/** Something that is read back: its folder, and whether reading it notices that it is not as it was written. */
interface Kept {
  readonly kind: string;
  readonly folder: string;
  readonly files: readonly string[];
  readonly notices: (file: string) => Promise<boolean>;
}

const kept = [
  ...(await runFolder()),
  await trainingState(),
  await capture(),
  await cacheFolder(),
  await hubBlobs(),
];
const places = kept.flatMap((one) => one.files.map((file) => [one, file] as const));
for (let i = 0; i < Number(values.flips); i++) {
  const [one, file] = places[i % places.length] as (typeof places)[number];
  const path = join(one.folder, file);
  const whole = await readFile(path);
  if (whole.length === 0) continue;
  const bit = rng.int(whole.length * 8);
  const broken = Buffer.from(whole);
  broken[bit >> 3]! ^= 1 << (bit & 7);
  await writeFile(path, broken);
  const noticed = await one.notices(file);
  await writeFile(path, whole);
  const tally = found.get(one.kind) ?? { flips: 0, found: 0 };
  found.set(one.kind, { flips: tally.flips + 1, found: tally.found + (noticed ? 1 : 0) });
  if (!noticed) console.log(`NOT FOUND: ${one.kind}: ${file}, bit ${bit}`);
}
await rm(root, { recursive: true, force: true });
console.log('\n| kind of file | bits flipped | found |\n|---|---|---|');
for (const [kind, { flips, found: n }] of found) console.log(`| ${kind} | ${flips} | ${n} |`);
const all = [...found.values()];
const [flips, noticed] = [sum(all.map((t) => t.flips)), sum(all.map((t) => t.found))];
console.log(`\n${noticed} of ${flips} found, seed ${values.seed}`);
process.exit(noticed === flips ? 0 : 1);

/** A run folder and its store: stage results, published files, results, manifest. */
async function runFolder(): Promise<Kept[]> {
  const [out, store] = [join(root, 'run'), join(root, 'store')];
  const parsed = parseRecipe([{ file: 'toy.yaml', text: 'name: toy\nmodels: { source: a, target: b }\n' }]);
  await runExperiment({ parsed, expand: expandToy, out, store });
  const entries = (await listFiles(store)).filter((file) => !file.endsWith('meta.json'));
  const published = (await listFiles(out)).filter((file) => /^(results|maps)|manifest.json$/.test(file));
  return [
    {
      kind: 'stage results (store)',
      folder: store,
      files: entries,
      notices: async (file) =>
        (await brokenSeal(join(store, file.split('/')[0] as string), ['meta.json'])) !== undefined,
    },
    {
      kind: 'run folder (manifest, results, published files)',
      folder: out,
      files: published,
      notices: (file) =>
        refused(async () => {
          await readManifest(out);
          await readResults(out);
          await checkPublished(out, file);
        }),
    },
  ];
}

/** A training state: damaged, it is passed over, and the run begins again. */
async function trainingState(): Promise<Kept> {
  const folder = join(root, 'training');
  await trainingRun({ steps: 3, checkpoint: { folder, every: 1, identity: 'flip' } });
  const files = await listFiles(folder);
  return {
    kind: 'training states',
    folder,
    files,
    notices: async () => {
      const copy = join(root, 'resumed');
      await rm(copy, { recursive: true, force: true });
      await cp(folder, copy, { recursive: true });
      const steps: number[] = [];
      const onProgress = ({ done }: { done: number }) => void steps.push(done);
      await trainingRun({ steps: 3, checkpoint: { folder: copy, every: 1, identity: 'flip' }, onProgress });
      return steps[0] === 1; // a state that is whole would leave no step to do
    },
  };
}

async function capture(): Promise<Kept> {
  const folder = join(root, 'captured');
  await mkdir(folder);
  const ids = await smallCapture(folder);
  return {
    kind: 'captures (shards and index)',
    folder,
    files: await listFiles(folder),
    notices: () =>
      refused(async () => {
        await readCaptureIndex(folder);
        for await (const _ of readCapture(folder, ids));
      }),
  };
}

/** A sealed folder, as the GGUF cache, models, adapters, maps and data sets are written. */
async function cacheFolder(): Promise<Kept> {
  const folder = join(root, 'sealed');
  await withAtomicFolder(folder, async (aside) => {
    await writeFile(join(aside, 'model.safetensors'), new Uint8Array(20_000).fill(7));
    await writeFile(join(aside, 'config.json'), '{}');
  });
  return {
    kind: 'sealed folders (GGUF cache, maps)',
    folder,
    files: await listFiles(folder),
    notices: async () => (await brokenSeal(folder)) !== undefined,
  };
}

/** A model as it was pulled: links into blobs that are named by their checksums. */
async function hubBlobs(): Promise<Kept> {
  const cacheDir = join(root, 'hub');
  const home = join(cacheDir, 'models--org--name');
  const sha = 'c0ffee'.padEnd(40, '0');
  const snapshot = join(home, 'snapshots', sha);
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(home, 'blobs'));
  await mkdir(join(home, 'refs'));
  await writeFile(join(home, 'refs', 'main'), sha);
  const files = {
    'config.json': Buffer.from('{"model_type":"llama"}'),
    'model.safetensors': Buffer.alloc(20_000, 7),
  };
  for (const [name, bytes] of Object.entries(files)) {
    const blob = join('..', '..', 'blobs', hashBytes(bytes));
    await writeFile(join(snapshot, blob), bytes);
    await symlink(blob, join(snapshot, name));
  }
  return {
    kind: 'models of the hub (blobs)',
    folder: snapshot,
    files: Object.keys(files),
    notices: () => refused(async () => void (await pullModel('org/name', { cacheDir, offline: true }))),
  };
}

async function refused(read: () => Promise<void>): Promise<boolean> {
  return read().then(
    () => false,
    () => true,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
