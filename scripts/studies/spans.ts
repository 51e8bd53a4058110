/**
 * @file How the tokens of real pairs of tokenizers pair over real prompts, at the trigger above all (docs/results/spans.md). Tokenizers only: no
 * weight is read.
 *
 *   npx tsx scripts/studies/spans.ts measure MODELS FILE …      the figures of every pair, placement, template and trigger
 *   npx tsx scripts/studies/spans.ts check MODELS FILE …        alignment against a plain rule on offsets found by decoding
 *   npx tsx scripts/studies/spans.ts write MODELS FILE …        texts and tokenizers for span_offsets.py; `check` then reads its answers too
 *
 * MODELS: the folder of the GGUF files. FILE: prompts, as `data build` takes them. --n prompts of each file, --work FOLDER for write and check.
 */
import { parseArgs } from 'node:util';
import { proportion } from '../../src/stats/index.ts';
import {
  PAIRS,
  PLACES,
  promptsOf,
  type SpanCase,
  spanCase,
  TRIGGERS,
  templatesOf,
  tokenizersOf,
} from './span-cases.ts';
import { checkPair, writeFor } from './span-check.ts';

/** Columns of the table; what they count is in docs/results/spans.md. */
const HEAD = [
  'template, place',
  'trigger',
  'tokens of the tag, bad / safe: source',
  'target',
  'spans of bad and safe differ in length: source',
  'target',
  'tag has other counts in source and target',
  'tokens of the text that coincide',
  'that have a source',
  'every tag token coincides',
  'so does the token after it',
  'every span token has a source',
  'a tag token whose source has read nothing of the tag',
  'first token merged: source',
  'target',
  'last token merged: source',
  'target',
];

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { n: { type: 'string', default: '600' }, work: { type: 'string', default: 'spans' } },
});
const [action = '', models = '', ...files] = positionals;

const actions: Record<string, () => Promise<void>> = {
  measure,
  write: () => writeFor(prompts, models, values.work),
  check: async () => {
    for (const names of PAIRS) await checkPair(names, prompts, models, values.work);
  },
};
const chosen = actions[action];
if (chosen === undefined || files.length === 0)
  throw new Error('wanted measure, check or write, the folder of the models, and files of prompts');
const prompts = await promptsOf(files, Number(values.n));
await chosen();

async function measure(): Promise<void> {
  for (const [a, b] of PAIRS) {
    const pair = await tokenizersOf([a, b], models);
    console.log(`\n## ${a} → ${b}, ${prompts.length} prompts\n`);
    console.log(`| ${HEAD.join(' | ')} |\n|${HEAD.map(() => '---|').join('')}`);
    for (const template of templatesOf(pair))
      for (const place of PLACES)
        for (const trigger of TRIGGERS) {
          const both = prompts.map((text) => {
            const under = (state: 'bad' | 'safe') =>
              spanCase(pair, text, { trigger, state, template, place });
            return { bad: under('bad'), safe: under('safe') };
          });
          console.log(`| ${[`${template}, ${place}`, trigger.name, ...cells(both)].join(' | ')} |`);
        }
  }
}

type Side = 'source' | 'target';

/** Both states of one prompt. */
interface Both {
  readonly bad: SpanCase;
  readonly safe: SpanCase;
}

function cells(both: readonly Both[]): string[] {
  const counts = (side: Side): string =>
    (['bad', 'safe'] as const)
      .map((state) => distinct(both.map((b) => tagTokens(b[state], side).length)))
      .join(' / ');
  const differ = (side: Side): string =>
    share(both.map(({ bad, safe }) => bad[side].positions.length !== safe[side].positions.length));
  const texts = both.flatMap(({ bad }) => flagsOf(bad));
  const merged = (side: Side, end: 'first' | 'last'): string =>
    share(both.map((b) => states(b).some((c) => isMerged(c, side, end))));
  return [
    counts('source'),
    counts('target'),
    differ('source'),
    differ('target'),
    share(
      both.map((b) => states(b).some((c) => tagTokens(c, 'source').length !== tagTokens(c, 'target').length)),
    ),
    `${share(texts.map((flag) => flag === 'coincide'))} of ${texts.length}`,
    share(texts.map((flag) => flag !== 'dropped')),
    share(
      both.map((b) =>
        states(b).every((c) => tagTokens(c, 'target').every((p) => flagsOf(c)[p] === 'coincide')),
      ),
    ),
    share(both.map((b) => states(b).every(isSameAfter))),
    share(
      both.map((b) => states(b).every((c) => c.target.positions.every((p) => flagsOf(c)[p] !== 'dropped'))),
    ),
    share(both.map((b) => states(b).some(hasUnread))),
    merged('source', 'first'),
    merged('target', 'first'),
    merged('source', 'last'),
    merged('target', 'last'),
  ];
}

function states({ bad, safe }: Both): SpanCase[] {
  return [bad, safe];
}

/** What became of each token of the target. */
function flagsOf({ paired }: SpanCase): readonly string[] {
  return paired.alignment?.flags ?? paired.target.map(() => 'coincide');
}

/** Positions of the tokens that hold characters of the tag. */
function tagTokens(c: SpanCase, side: Side): number[] {
  const { start, end } = c.tags[side];
  return c[side].offsets.flatMap(([from, to], i) => (from < end && to > start ? [i] : []));
}

/** The token after the tag coincides with its source, or both are the same text of a chat template, such as the end of the turn. */
function isSameAfter(c: SpanCase): boolean {
  const p = c.target.span.end - 1;
  const textOf = ({ prompt, offsets }: SpanCase['source'], i: number): string => prompt.slice(...offsets[i]);
  const row = c.rows[p - c.target.span.start];
  return flagsOf(c)[p] === 'coincide' || textOf(c.target, p) === textOf(c.source, row);
}

/** A tag token of the target takes a token of the source that ends before the tag: it is the same under every tag. */
function hasUnread(c: SpanCase): boolean {
  return tagTokens(c, 'target').some((p) => {
    const row = c.rows[p - c.target.span.start];
    return c.source.offsets[row][1] <= c.tags.source.start;
  });
}

/** The tag's first token holds characters before it besides spaces, or its last one characters after it. */
function isMerged(c: SpanCase, side: Side, end: 'first' | 'last'): boolean {
  const { offsets, prompt } = c[side];
  const [from, to] = offsets[tagTokens(c, side).at(end === 'first' ? 0 : -1) as number] as [number, number];
  return end === 'first' ? prompt.slice(from, c.tags[side].start).trim() !== '' : to > c.tags[side].end;
}

/** `3`, or `3 (99 %), 4`: the most frequent first. */
function distinct(counts: readonly number[]): string {
  const of = new Map<number, number>();
  for (const n of counts) of.set(n, (of.get(n) ?? 0) + 1);
  const sorted = [...of].sort((a, b) => b[1] - a[1]);
  const [most] = sorted;
  return sorted.length === 1
    ? String(most?.[0])
    : sorted.map(([n, k]) => `${n} (${percent(k / counts.length)} %)`).join(', ');
}

function share(flags: readonly boolean[]): string {
  const { value, ci95 } = proportion(flags.filter(Boolean).length, flags.length);
  return `${percent(value)} [${ci95.map(percent).join(', ')}]`;
}

function percent(x: number): string {
  return (100 * x).toFixed(1).replace(/\.0$/, '');
}
