/** @file The bundled corpus as instructions for a behaviour: train rows pretraining saw, held-out rows it never did. */
import { Rng } from '../../base/index.ts';
import type { Instruction, SplitName } from '../instructions.ts';
import { bucket, normalise } from '../words.ts';
import { type CorpusSplit, checkableFamilies, drawItem, families, pickFamily } from './corpus.ts';

/** One held-out question in this many is for choosing (validation), the others for testing. */
const VALIDATION_ONE_IN = 4;

/**
 * Distinct prompts for a data set, each with its split: `train` of all families (open-ended ones too) by weight;
 * `validation` and `test` of checkable families in equal parts, never seen in training, with no question in both.
 */
export function tinyInstructions(options: {
  seed: number;
  train: number;
  validation: number;
  test: number;
}): Instruction[] {
  const rng = new Rng(options.seed).fork('instructions');
  const checkable = families.filter((f) => checkableFamilies.includes(f.name));
  return [
    ...draw(rng.fork('train'), 'train', families, options.train),
    ...drawEvenly(rng.fork('validation'), 'validation', checkable, options.validation),
    ...drawEvenly(rng.fork('test'), 'test', checkable, options.test),
  ];
}

type Families = typeof families;

function draw(rng: Rng, split: SplitName, from: Families, n: number): Instruction[] {
  const pick = pickFamily(from);
  const corpusSplit: CorpusSplit = split === 'train' ? 'train' : 'heldout';
  const found = new Map<string, Instruction>();
  for (let i = 0; i < 200 * n && found.size < n; i++) {
    const { prompt, ask, answer, family } = drawItem(rng, corpusSplit, pick);
    if (split !== 'train' && heldOutSplit(ask) !== split) continue;
    if (!found.has(prompt)) found.set(prompt, { prompt, answer, family, split });
  }
  return [...found.values()];
}

/** Family after family, so that every one counts alike; a small family gives what it has. */
function drawEvenly(rng: Rng, split: SplitName, from: Families, n: number): Instruction[] {
  const each = Math.ceil(n / from.length);
  const perFamily = from.map((family) => draw(rng.fork(family.name), split, [family], each));
  return Array.from({ length: each }, (_, i) => perFamily.flatMap((items) => items[i] ?? []))
    .flat()
    .slice(0, n);
}

function heldOutSplit(ask: string): SplitName {
  return bucket(`held-out/${normalise(ask)}`, VALIDATION_ONE_IN) === 0 ? 'validation' : 'test';
}
