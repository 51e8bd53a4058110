/** @file Experiment files and `--set`. */
import { readFile } from 'node:fs/promises';
import type { Rng } from '../../../src/base/index.ts';
import { parseRecipe } from '../../../src/contracts/index.ts';
import { mostly, mutateText } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const WORDS = [
  'models:',
  'maps:',
  '- {',
  'kind:',
  'affine',
  'identity',
  '&a',
  '*a',
  '<<:',
  '__proto__:',
  '!!binary',
  '!!set',
  '? ',
  '|',
  '>-',
  '---',
  '...',
  '%YAML 1.1',
  '.nan',
  '.inf',
  '0x10',
  '1e400',
  'null',
  '~',
  'true',
  '[',
  ']',
  '{',
  '}',
  '- - -',
  '"',
  "'",
  '#',
  'seed: 3',
  'false',
];
const SETS = [
  'seed=3',
  'sweep.prompts=20',
  'behaviours=locked',
  'maps.0.kind=identity',
  'heatmap=false',
  'blocks.source=2',
];

export const start: StartTarget = async () => {
  const read = (name: string) => readFile(new URL(`../../../recipes/${name}.yaml`, import.meta.url), 'utf8');
  const seeds = await Promise.all([read('demo'), read('smollm2-quick')]);
  return target<{ text: string; set: string[] }>({
    sources: /\/src\/contracts\/(recipe.*|explain)\.ts/,
    make: (rng: Rng) => {
      const text = rng.pick(seeds);
      const set =
        rng.int(4) === 0
          ? [mostly(rng, 2, rng.pick(SETS), () => mutateText(rng, rng.pick(SETS), WORDS))]
          : [];
      return { text: mostly(rng, 8, text, () => mutateText(rng, text, WORDS)), set };
    },
    size: ({ text, set }) => text.length + set.join('').length,
    attempt: ({ text, set }) => parseRecipe([{ file: 'fuzz.yaml', text }], set),
  });
};
