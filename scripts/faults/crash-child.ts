/** @file One piece of work for `scripts/crash.ts`, in a process of its own, to be killed: `crash-child.ts KIND FOLDER`. A dot per step. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hashBytes, hashJson, writeFileAtomic } from '../../src/base/index.ts';
import { parseRecipe } from '../../src/contracts/index.ts';
import { expandExperiment, runExperiment } from '../../src/pipeline/index.ts';
import { expandToy } from '../../test/suites/toy-stages.ts';
import { smallCapture, trainingRun } from './small.ts';

const [kind, folder] = process.argv.slice(2) as [string, string];
const dot = () => void process.stdout.write('.');
if (kind === 'run') {
  const parsed = parseRecipe([{ file: 'toy.yaml', text: 'name: toy\nmodels: { source: a, target: b }\n' }]);
  await runExperiment({
    parsed,
    expand: expandToy,
    out: join(folder, 'run'),
    store: join(folder, 'store'),
    jobs: 2,
    onEvent: dot,
  });
} else if (kind === 'experiment') {
  const file = fileURLToPath(new URL('./mini.yaml', import.meta.url));
  const parsed = parseRecipe([{ file, text: await readFile(file, 'utf8') }]);
  const places = { out: join(folder, 'run'), store: join(folder, 'store') };
  await runExperiment({ parsed, expand: expandExperiment, ...places, onEvent: dot });
} else if (kind === 'training') {
  const checkpoint = { folder: join(folder, 'state'), every: 1, identity: 'crash' };
  const parameters = await trainingRun({ steps: 12, checkpoint, onProgress: dot });
  const hashes = [...parameters].map(([name, w]) => [
    name,
    hashBytes(new Uint8Array(w.buffer, w.byteOffset, w.byteLength)),
  ]);
  await writeFileAtomic(join(folder, 'weights.txt'), hashJson(hashes));
} else {
  dot();
  await smallCapture(join(folder, 'captured'));
}
