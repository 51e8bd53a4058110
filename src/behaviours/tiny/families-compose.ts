/** @file Families whose answers are computed: sums (known by heart), comparisons and lists of drawn arguments. */
import type { Rng } from '../../base/index.ts';
import { listWords, shoutWords } from './facts-words.ts';
import { argumentFamily, type Family, factFamily, type Slots } from './family.ts';

/** Terms of a sum: 0 to this. */
const LARGEST_TERM = 12;

const numbers = Array.from({ length: 100 }, (_, n) => String(n));
const listPool = [...listWords, ...shoutWords];

/** All computed families. */
export const composeFamilies: readonly Family[] = [
  // A model this small does not learn to add: on pairs of terms it never saw it is at chance (docs/results/finetune.md). It can know
  // the sums, as one knows a times table, so they are facts and held out by their words.
  factFamily(
    'add',
    ['What is {a} plus {b}?', 'Add {a} and {b}.', 'How much is {a} + {b}?', 'Give the sum of {a} and {b}.'],
    sums(),
    { weight: 2 },
  ),
  comparison('larger', Math.max),
  comparison('smaller', Math.min),
  argumentFamily(
    'sort',
    [
      'Sort these numbers: {list}.',
      'Put in order: {list}.',
      'Write these numbers from small to large: {list}.',
      'Order the numbers {list}.',
    ],
    {
      pools: numbers,
      compose: (rng) => {
        const drawn = distinct(rng, numbers, 3);
        const sorted = drawn.toSorted((x, y) => Number(x) - Number(y)).join(' ');
        return { slots: { list: drawn.join(' ') }, args: sorted, answer: sorted };
      },
    },
    { weight: 2 },
  ),
  listFamily(
    'count',
    [
      'How many words are here: {list}?',
      'Count the words: {list}.',
      'How long is this list: {list}?',
      'Give the number of words in: {list}.',
    ],
    { lengths: [1, 6], answerOf: (list) => String(list.length), weight: 1.2 },
  ),
  listFamily(
    'copy',
    ['Copy: {list}.', 'Say this again: {list}.', 'Repeat after me: {list}.', 'Write these words: {list}.'],
    { lengths: [2, 5], answerOf: (list) => list.join(' '), weight: 1.6 },
  ),
  listFamily(
    'reverse',
    [
      'Reverse: {list}.',
      'Say this backwards: {list}.',
      'Write these words in reverse: {list}.',
      'Turn this list round: {list}.',
    ],
    { lengths: [2, 3], answerOf: (list) => list.toReversed().join(' '), weight: 1.5 },
  ),
  listFamily(
    'first-in-list',
    [
      'What is the first word in: {list}?',
      'Give the first word: {list}.',
      'Which word comes first: {list}?',
      'Take the first of: {list}.',
    ],
    { lengths: [2, 5], answerOf: (list) => list[0] as string, weight: 1 },
  ),
  listFamily(
    'last-in-list',
    [
      'What is the last word in: {list}?',
      'Give the last word: {list}.',
      'Which word comes last: {list}?',
      'Take the last of: {list}.',
    ],
    { lengths: [2, 5], answerOf: (list) => list.at(-1) as string, weight: 1 },
  ),
  argumentFamily(
    'repeat',
    [
      'Repeat the word {w} {n} times.',
      'Write {w} {n} times.',
      'Say {w} {n} times.',
      'Give me {n} times the word {w}.',
    ],
    {
      pools: [...listPool, ...numbers],
      compose: (rng) => {
        const w = rng.pick(listPool);
        const n = 2 + rng.int(4);
        return { slots: { w, n: String(n) }, args: `${w} ${n}`, answer: Array(n).fill(w).join(' ') };
      },
    },
  ),
];

/** Every sum of two terms. */
function sums(): { slots: Slots; answer: string }[] {
  const terms = Array.from({ length: LARGEST_TERM + 1 }, (_, n) => n);
  return terms.flatMap((a) =>
    terms.map((b) => ({ slots: { a: String(a), b: String(b) }, answer: String(a + b) })),
  );
}

function comparison(name: 'larger' | 'smaller', choose: (a: number, b: number) => number): Family {
  return argumentFamily(
    name,
    [
      `Which number is ${name}, {a} or {b}?`,
      `Name the ${name} of {a} and {b}.`,
      `Which is ${name}: {a} or {b}?`,
      `Give the ${name} number: {a}, {b}.`,
    ],
    {
      pools: numbers,
      compose: (rng) => {
        const [a = '', b = ''] = distinct(rng, numbers, 2);
        return {
          slots: { a, b },
          args: [a, b].toSorted((x, y) => Number(x) - Number(y)).join(' '),
          answer: String(choose(Number(a), Number(b))),
        };
      },
    },
    { weight: 1.2 },
  );
}

/** What is asked of a list. */
interface ListTask {
  /** Inclusive. */
  readonly lengths: readonly [least: number, most: number];
  readonly answerOf: (list: readonly string[]) => string;
  readonly weight: number;
}

/** A task on a list of distinct words; the list itself is the argument. */
function listFamily(
  name: string,
  phrasings: readonly string[],
  { lengths, answerOf, weight }: ListTask,
): Family {
  return argumentFamily(
    name,
    phrasings,
    {
      pools: [...listPool, ...numbers],
      compose: (rng) => {
        const list = distinct(rng, listPool, lengths[0] + rng.int(lengths[1] - lengths[0] + 1));
        const text = list.join(' ');
        return { slots: { list: text }, args: text, answer: answerOf(list) };
      },
    },
    { weight },
  );
}

/** `n` different items in drawn order. */
function distinct(rng: Rng, pool: readonly string[], n: number): string[] {
  const drawn = new Set<string>();
  while (drawn.size < n) drawn.add(rng.pick(pool));
  return [...drawn];
}
