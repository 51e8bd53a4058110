/** @file One run of the toy experiment as a process of its own, to be killed: `node toy-run.ts OUT STORE`. Prints a dot for every event. */
import { parseRecipe, type Recipe } from '../../src/contracts/index.ts';
import { runExperiment } from '../../src/pipeline/index.ts';
import { expandToy } from './toy-stages.ts';

const [out = '', store = ''] = process.argv.slice(2);
const parsed: { given: Record<string, unknown>; recipe: Recipe } = parseRecipe([
  { file: 'toy.yaml', text: 'name: toy\nmodels: { source: a, target: b }\n' },
]);
const onEvent = () => void process.stdout.write('.');
await runExperiment({ parsed, expand: expandToy, out, store, jobs: 2, onEvent });
