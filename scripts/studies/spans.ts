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
  'template',
  'place',
  'trigger',
  'tokens of the tag, source: bad / safe',
  'target: bad / safe',
  'spans differ, bad and safe: source',
  'target',
  'tag tokens differ, source and target',
  'text: coincide',
  'has a source',
  'span: coincide',
  'has a source',
  'tag tokens whose source has read nothing of the tag',
  'first token merged (a space apart): source',
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
          console.log(`| ${[template, place, trigger.name, ...cells(both)].join(' | ')} |`);
        }
  }
}

/** Both states of one prompt. */
interface Both {
  readonly bad: SpanCase;
  readonly safe: SpanCase;
}

function cells(both: readonly Both[]): string[] {
  const all = both.flatMap(({ bad, safe }) => [bad, safe]);
  const counts = (side: 'source' | 'target', state: 'bad' | 'safe'): string =>
    distinct(both.map((b) => tagTokens(b[state], side).length));
  const differ = (side: 'source' | 'target'): string =>
    share(both.map(({ bad, safe }) => bad[side].positions.length !== safe[side].positions.length));
  const texts = all.flatMap(flagsOf);
  const spans = all.flatMap((c) => c.target.positions.map((p) => flagsOf(c)[p]));
  const merged = (side: 'source' | 'target', end: 'first' | 'last'): string =>
    share(all.map((c) => isMerged(c, side, end)));
  return [
    `${counts('source', 'bad')} / ${counts('source', 'safe')}`,
    `${counts('target', 'bad')} / ${counts('target', 'safe')}`,
    differ('source'),
    differ('target'),
    share(all.map((c) => tagTokens(c, 'source').length !== tagTokens(c, 'target').length)),
    share(texts.map((flag) => flag === 'coincide')),
    share(texts.map((flag) => flag !== 'dropped')),
    share(spans.map((flag) => flag === 'coincide')),
    share(spans.map((flag) => flag !== 'dropped')),
    share(all.flatMap(unread)),
    merged('source', 'first'),
    merged('target', 'first'),
    merged('source', 'last'),
    merged('target', 'last'),
  ];
}

/** What became of each token of the target. */
function flagsOf({ paired }: SpanCase): readonly string[] {
  return paired.alignment?.flags ?? paired.target.map(() => 'coincide');
}

/** Positions of the tokens that hold characters of the tag. */
function tagTokens(c: SpanCase, side: 'source' | 'target'): number[] {
  const { start, end } = c.tags[side];
  return c[side].offsets.flatMap(([from, to], i) => (from < end && to > start ? [i] : []));
}

/** For each tag token of the target: its source token ends before the tag, so it is the same under every tag. */
function unread(c: SpanCase): boolean[] {
  return tagTokens(c, 'target').map((p) => {
    const row = c.rows[p - c.target.span.start] as number;
    return (c.source.offsets[row]?.[1] ?? 0) <= c.tags.source.start;
  });
}

/** The tag's first token holds characters before it besides spaces, or its last one characters after it. */
function isMerged(c: SpanCase, side: 'source' | 'target', end: 'first' | 'last'): boolean {
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
  const { value, n, ci95 } = proportion(flags.filter(Boolean).length, flags.length);
  return `${percent(value)} [${ci95.map(percent).join(', ')}] of ${n}`;
}

function percent(x: number): string {
  return (100 * x).toFixed(1).replace(/\.0$/, '');
}
