/**
 * @file Verified drafts: exact greedy completions of patched prompts, mostly without decoding (docs/concepts/architecture.md#verified-drafts).
 *
 * Most patched rows end in a completion we already have: the model's own safe one, its bad one, the neutral one. A patch of the
 * prompt at block L changes nothing up to block L, not even for later tokens. So the unpatched prompt + draft goes through the
 * blocks once; after each block L the patches are put in and only blocks L+1… run, over the columns from the first patched one
 * (what stands before is in a key-value cache), teacher-forced. Where the greedy choice equals the draft at every step, its end
 * included, the outcome is exact. Where it parts, decoding goes on from there, guessing with other completions of the same
 * prompt; what it comes to is a draft for the blocks after it (`learnt.ts`). A row whose two best logits ever lie within {@link NEAR_TIE} is decoded again by ordinary generation.
 */
import { type ProgressSink, silent, throwIfAborted } from '../../base/index.ts';
import type { Decoder } from '../../models/index.ts';
import { Branches } from './branch.ts';
import type { EndRules } from './decode.ts';
import {
  type DraftRow,
  type DraftStats,
  noStats,
  type PatchedOutcome,
  type PatchedRun,
  type PlacedRun,
} from './patched.ts';
import type { Probe } from './verify.ts';

export {
  type DraftRow,
  type DraftStats,
  NEAR_TIE,
  noStats,
  type PatchedOutcome,
  type PatchedRun,
} from './patched.ts';
export type { Draft, Probe } from './verify.ts';

/** Options of {@link runDrafted}. */
export interface DraftOptions extends EndRules {
  /** Counts up while runs end. */
  readonly stats?: DraftStats;
  /** Most patched rows side by side. Defaults to what fits {@link CACHE_BYTES}, at most 128. */
  readonly batch?: number;
  readonly progress?: ProgressSink;
  /** Name of the progress events. Defaults to `drafts`. */
  readonly stage?: string;
}

/** One patched run that has ended. */
export interface EndedRun<R extends PatchedRun> {
  /** Index of the row. */
  readonly row: number;
  readonly block: number;
  readonly run: R;
  readonly outcome: PatchedOutcome;
}

/** Bytes the keys and values of one batch of patched rows may take; those of their drafts twice that. */
export const CACHE_BYTES = 1 << 28;

/** The patched runs wanted: of every row, after every block. */
export interface DraftPlan<R extends PatchedRun, Row> {
  readonly rows: readonly Row[];
  readonly blocks: readonly number[];
  /** A row's runs at a block, made when their turn comes: patches need not all be held at once. */
  runsOf(row: number, block: number): readonly R[];
}

/** Every patched run of every row at every block, exactly as hooked generation would end. */
export async function* runDrafted<R extends PatchedRun>(
  decoder: Decoder,
  { rows, blocks, runsOf }: DraftPlan<R, DraftRow>,
  options: DraftOptions,
): AsyncGenerator<EndedRun<R>, void, undefined> {
  const { progress = silent, stage = 'drafts', stats = noStats() } = options;
  const batch = options.batch ?? fittingBatch(decoder, rows, options.maxNewTokens);
  const sorted = [...new Set(blocks)].sort((a, b) => a - b);
  const groups = groupsOf(rows, batch);
  const total = groups.length * sorted.length;
  let done = 0;
  for (const members of groups) {
    const base = await Branches.start(
      decoder,
      members.map((i) => rows[i]),
      options,
    );
    for (const block of sorted) {
      await base.advance(block);
      const runs = waves(members.map((i) => runsOf(i, block)));
      for (let from = 0; from < runs.length; from += batch) {
        throwIfAborted(options.signal, stage);
        const part = runs.slice(from, from + batch);
        const outcomes = await base.branch(part, stats);
        for (const [j, { row, run }] of part.entries())
          yield { row: members[row], block, run, outcome: outcomes[j] };
      }
      progress({ stage, done: ++done, total, unit: 'blocks', figures: { runs: stats.runs } });
    }
  }
}

/** A run whose probe alone is wanted. */
export type ProbedRun = PatchedRun & { readonly probe: Probe };

/** Only the probes of patched runs, the logit differences: nothing is decided or decoded. Rows need no drafts. */
export async function* runProbes<R extends ProbedRun>(
  decoder: Decoder,
  { rows, blocks, runsOf }: DraftPlan<R, Omit<DraftRow, 'drafts'>>,
  options: Omit<DraftOptions, 'maxNewTokens' | 'stopTokens' | 'stats'> = {},
): AsyncGenerator<{ row: number; block: number; run: R; value: number }, void, undefined> {
  const { progress = silent, stage = 'probes', batch = 128, signal } = options;
  const sorted = [...new Set(blocks)].sort((a, b) => a - b);
  const most = 32;
  const total = Math.ceil(rows.length / most) * sorted.length;
  let done = 0;
  for (let at = 0; at < rows.length; at += most) {
    const members = rows.map((_, i) => i).slice(at, at + most);
    const drafted = members.map((i): DraftRow => {
      const prefix = runsOf(i, sorted[0])[0]?.probe.prefix ?? [];
      return { ...rows[i], drafts: [{ ids: prefix, finish: 'length' }] };
    });
    const maxNewTokens = 1 + Math.max(...drafted.map((row) => row.drafts[0].ids.length));
    const base = await Branches.start(decoder, drafted, { maxNewTokens, stopTokens: [], signal });
    for (const block of sorted) {
      await base.advance(block);
      const runs = waves(members.map((i) => runsOf(i, block)));
      for (let from = 0; from < runs.length; from += batch) {
        throwIfAborted(signal, stage);
        const part = runs.slice(from, from + batch);
        const values = await base.probe(part);
        for (const [j, { row, run }] of part.entries())
          yield { row: members[row], block, run, value: values[j] };
      }
      progress({ stage, done: ++done, total, unit: 'blocks' });
    }
  }
}

/** Share of checked draft tokens that were the greedy choice; 1 when none was checked. */
export function draftAcceptance(stats: Pick<DraftStats, 'offeredTokens' | 'acceptedTokens'>): number {
  return stats.offeredTokens === 0 ? 1 : stats.acceptedTokens / stats.offeredTokens;
}

/** First runs of all rows, then second runs, …: what one draw shows helps the next to guess. */
function waves<R extends PatchedRun>(runs: readonly (readonly R[])[]): (PlacedRun & { readonly run: R })[] {
  const most = Math.max(0, ...runs.map((r) => r.length));
  const out: (PlacedRun & { readonly run: R })[] = [];
  for (let k = 0; k < most; k++)
    runs.forEach((own, row) => {
      if (k < own.length) out.push({ row, run: own[k] });
    });
  return out;
}

/**
 * Rows that go through the blocks together: of like suffixes, at most `batch`, with at most twice as many drafts, in groups of like size
 * (what is decoded on shares the reading of the weights, so few large groups are best).
 */
function groupsOf(rows: readonly DraftRow[], batch: number): number[][] {
  const order = rows.map((_, i) => i).sort((a, b) => suffix(rows[a]) - suffix(rows[b]) || a - b);
  const drafts = Math.max(1, ...rows.map((r) => r.drafts.length));
  const most = Math.max(1, Math.min(batch, Math.floor((2 * batch) / drafts)));
  const size = Math.ceil(rows.length / Math.max(1, Math.ceil(rows.length / most)));
  const groups: number[][] = [];
  for (let at = 0; at < order.length; at += size) groups.push(order.slice(at, at + size));
  return groups;
}

/** Patched rows whose keys and values take at most {@link CACHE_BYTES}, between 4 and 128. */
function fittingBatch(decoder: Decoder, rows: readonly DraftRow[], maxNewTokens: number): number {
  const { nKvHeads, headDim } = decoder.config;
  const tokens = Math.max(1, ...rows.map((r) => r.ids.length)) + maxNewTokens;
  const bytes = 2 * 4 * decoder.nLayers * Math.ceil(tokens / 64) * 64 * nKvHeads * headDim;
  return Math.min(128, Math.max(4, Math.floor(CACHE_BYTES / bytes)));
}

/** Columns that are run again for every patch, drafts apart. */
function suffix(row: DraftRow): number {
  return row.ids.length - row.from;
}
