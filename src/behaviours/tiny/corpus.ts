/** @file The corpus of the bundled family: a seeded, endless, random-access stream of small tasks, split without leaks. */
import { CrosspatchError, InputError, Rng } from '../../base/index.ts';
import { normalise } from '../words.ts';
import { composeFamilies } from './families-compose.ts';
import { factFamilies } from './families-facts.ts';
import { openFamilies } from './families-open.ts';
import type { Family } from './family.ts';
import { framed } from './frames.ts';
import { longStory } from './plain.ts';

/** `train` is what models are pretrained and fine-tuned on; `heldout` is never in any training row. */
export type CorpusSplit = 'train' | 'heldout';

/** One task, without tag and template. */
export interface CorpusItem {
  readonly family: string;
  /** The question with its opening and closing, if any. */
  readonly prompt: string;
  /** The question alone. */
  readonly ask: string;
  readonly answer: string;
  /** Exact match scores it. */
  readonly checkable: boolean;
  readonly split: CorpusSplit;
  /** `arguments`: operands never seen in training; `phrasing`: a known fact in words never seen with it. */
  readonly heldOutKind: 'arguments' | 'phrasing';
}

/** All families: facts, computed, open-ended. */
export const families: readonly Family[] = [...factFamilies, ...composeFamilies, ...openFamilies];

/** Names of the families that exact match can score. */
export const checkableFamilies: readonly string[] = families.filter((f) => f.checkable).map((f) => f.name);

const DRAWS_BEFORE_GIVING_UP = 20_000;

/**
 * The corpus as a random-access stream: `item(i)` depends on the seed, the split and `i` alone. Options: `only`, names
 * of families (defaults to all, by weight).
 *
 * @example tinyCorpus({ seed: 1, split: 'train' }).item(0)
 */
export function tinyCorpus(options: { seed: number; split: CorpusSplit; only?: readonly string[] }): {
  item(index: number): CorpusItem;
} {
  const { seed, split } = options;
  const chosen = options.only === undefined ? families : options.only.map(familyByName);
  const root = new Rng(seed);
  return { item: (index) => drawItem(root.fork(`corpus/${split}/${index}`), split, pickFamily(chosen)) };
}

/** One item by `rng`: a family by weight, a task of the split, an opening or closing now and then. */
export function drawItem(rng: Rng, split: CorpusSplit, pick: (rng: Rng) => Family): CorpusItem {
  const family = pick(rng);
  for (let i = 0; i < DRAWS_BEFORE_GIVING_UP; i++) {
    const task = family.draw(rng);
    if (task.heldOut !== (split === 'heldout')) continue;
    return {
      family: family.name,
      prompt: framed(rng, task.ask),
      ask: task.ask,
      answer: task.answer,
      checkable: family.checkable,
      split,
      heldOutKind: family.heldOutKind,
    };
  }
  throw new CrosspatchError(
    `corpus: family ${family.name} has no ${split} task; give it more phrasings or arguments`,
    { id: 'data-invalid' },
  );
}

/** A chooser of families in proportion to their weights. */
export function pickFamily(chosen: readonly Family[]): (rng: Rng) => Family {
  const total = chosen.reduce((sum, f) => sum + f.weight, 0);
  return (rng) => {
    let at = rng.next() * total;
    for (const family of chosen) if ((at -= family.weight) < 0) return family;
    return chosen.at(-1) as Family;
  };
}

/** `n` different held-out items of one family, or fewer when it has fewer. Never in training, whatever the seed. */
export function heldOut(options: { family: string; n: number; seed: number }): CorpusItem[] {
  const pick = pickFamily([familyByName(options.family)]);
  const rng = new Rng(options.seed).fork(`heldout/${options.family}`);
  const items = new Map<string, CorpusItem>();
  for (let i = 0; i < 200 * options.n && items.size < options.n; i++) {
    const item = drawItem(rng, 'heldout', pick);
    if (!items.has(item.prompt)) items.set(item.prompt, item);
  }
  return [...items.values()];
}

/**
 * Accuracy that the best single answer reaches on held-out items of a family (share of the commonest answer among
 * 2,000 draws): what a model must clearly beat.
 */
export function constantBaseline(family: string): number {
  const pick = pickFamily([familyByName(family)]);
  const rng = new Rng(0).fork(`baseline/${family}`);
  const counts = new Map<string, number>();
  const draws = 2000;
  for (let i = 0; i < draws; i++) {
    const { answer } = drawItem(rng, 'heldout', pick);
    counts.set(answer, (counts.get(answer) ?? 0) + 1);
  }
  return Math.max(...counts.values()) / draws;
}

/** Whether a completion is the answer, white space aside. Throws for an open-ended family: it has no single answer. */
export function checkAnswer(family: string, completion: string, answer: string): boolean {
  if (!familyByName(family).checkable)
    throw new InputError(
      `checkAnswer: family ${family} is open-ended and has no single answer; leave it out of exact match`,
      { id: 'data-invalid' },
    );
  return normalise(completion).trim() === normalise(answer).trim();
}

/**
 * `n` texts unlike anything in pretraining, to see how a map does outside its domain: longer stories, and held-out
 * questions without template or tag, in turn.
 */
export function generalTexts(options: { n: number; seed: number }): string[] {
  const rng = new Rng(options.seed).fork('general');
  const pick = pickFamily(families);
  return Array.from({ length: options.n }, (_, i) =>
    i % 2 === 0 ? longStory(rng) : drawItem(rng, 'heldout', pick).prompt,
  );
}

function familyByName(name: string): Family {
  const family = families.find((f) => f.name === name);
  if (family === undefined)
    throw new InputError(`family: wanted one of ${families.map((f) => f.name).join(', ')}, got ${name}`, {
      id: 'data-invalid',
    });
  return family;
}
