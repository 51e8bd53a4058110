/** @file What a family of tasks is, and the two ways to make one: from a table of facts or from drawn arguments. */
import type { Rng } from '../../base/index.ts';
import { bucket } from '../words.ts';

/** One of this many prompts (facts) or arguments (compositions) is held out, chosen by hash. */
const HELD_OUT_ONE_IN = 8;

/** A drawn task, before any opening, closing, tag or template. */
interface Task {
  readonly ask: string;
  readonly answer: string;
  readonly heldOut: boolean;
}

/** A kind of task. `weight` is its relative share of the corpus. */
export interface Family {
  readonly name: string;
  /** Whether the answer is the only right one, so that exact match scores it. */
  readonly checkable: boolean;
  /** `arguments`: the operands are never seen in training. `phrasing`: the fact is, but never in these words. */
  readonly heldOutKind: 'arguments' | 'phrasing';
  readonly weight: number;
  /** Every text that may occur in a task: the vocabulary is read off these. */
  readonly texts: readonly string[];
  draw(rng: Rng): Task;
}

/** Values for the `{slots}` of a phrasing. */
export type Slots = Readonly<Record<string, string>>;

/** `fill('Is {x} odd?', { x: '7' })` → `Is 7 odd?`. Every slot must be given. */
export function fill(phrasing: string, slots: Slots): string {
  return phrasing.replace(/\{(\w+)\}/g, (_, slot: string) => {
    const value = slots[slot];
    if (value === undefined)
      throw new RangeError(`fill: no value for {${slot}} in ${JSON.stringify(phrasing)}`);
    return value;
  });
}

/** Phrasing without its slots. */
export function literal(phrasing: string): string {
  return phrasing.replace(/\{\w+\}/g, ' ');
}

/**
 * A family of known facts. Held out: one pair (fact, phrasing) in eight, at most half of the phrasings of any fact.
 * `checkable` defaults to true, `weight` to 1.
 */
export function factFamily(
  name: string,
  phrasings: readonly string[],
  facts: readonly { readonly slots: Slots; readonly answer: string }[],
  options: { weight?: number; checkable?: boolean } = {},
): Family {
  const held = heldOutPairs(name, phrasings, facts);
  return {
    name,
    checkable: options.checkable ?? true,
    heldOutKind: 'phrasing',
    weight: options.weight ?? 1,
    texts: [...phrasings.map(literal), ...facts.flatMap((f) => [...Object.values(f.slots), f.answer])],
    draw(rng) {
      const f = rng.int(facts.length);
      const p = rng.int(phrasings.length);
      const fact = facts[f] as (typeof facts)[number];
      return {
        ask: fill(phrasings[p] as string, fact.slots),
        answer: fact.answer,
        heldOut: held.has(f * phrasings.length + p),
      };
    },
  };
}

/** Indices `fact · phrasings + phrasing` of the held-out pairs: those of the lowest hash, equal prompts together. */
function heldOutPairs(
  name: string,
  phrasings: readonly string[],
  facts: readonly { readonly slots: Slots }[],
): ReadonlySet<number> {
  const pairsOfPrompt = new Map<string, number[]>();
  facts.forEach(({ slots }, f) => {
    phrasings.forEach((phrasing, p) => {
      const prompt = fill(phrasing, slots);
      pairsOfPrompt.set(prompt, [...(pairsOfPrompt.get(prompt) ?? []), f * phrasings.length + p]);
    });
  });
  const rank = (prompt: string): number => bucket(`${name}/${prompt}`, 2 ** 31);
  const held = new Set<number>();
  const heldOfFact = facts.map(() => 0);
  for (const [, pairs] of [...pairsOfPrompt].toSorted(([a], [b]) => rank(a) - rank(b))) {
    if (held.size >= (facts.length * phrasings.length) / HELD_OUT_ONE_IN) break;
    const of = pairs.map((pair) => Math.floor(pair / phrasings.length));
    if (of.some((f) => ((heldOfFact[f] as number) + 1) * 2 > phrasings.length)) continue;
    for (const f of of) heldOfFact[f] = (heldOfFact[f] as number) + 1;
    for (const pair of pairs) held.add(pair);
  }
  return held;
}

/** How the tasks of a family are composed. */
interface Composition {
  /** Every word that may be drawn. */
  readonly pools: readonly string[];
  /**
   * Draws slots, an answer and `args`: the canonical arguments, equal for tasks that give each other away (7 + 5 and 5 + 7), which are
   * held out as one in every phrasing. Without `args` whole prompts are held out.
   */
  readonly compose: (rng: Rng) => { slots: Slots; args?: string; answer: string };
}

/** A family of compositions. `weight` defaults to 1, `checkable` to true. */
export function argumentFamily(
  name: string,
  phrasings: readonly string[],
  { pools, compose }: Composition,
  options: { weight?: number; checkable?: boolean; heldOutKind?: Family['heldOutKind'] } = {},
): Family {
  return {
    name,
    checkable: options.checkable ?? true,
    heldOutKind: options.heldOutKind ?? 'arguments',
    weight: options.weight ?? 1,
    texts: [...phrasings.map(literal), ...pools],
    draw(rng) {
      const { slots, args, answer } = compose(rng);
      const ask = fill(rng.pick(phrasings), slots);
      return { ask, answer, heldOut: bucket(`${name}/${args ?? ask}`, HELD_OUT_ONE_IN) === 0 };
    },
  };
}
