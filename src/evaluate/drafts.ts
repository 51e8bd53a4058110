/**
 * @file Verified drafts: exact greedy completions of patched prompts, mostly without decoding (ARCHITECTURE.md "Engine").
 *
 * Most patched rows end in a completion we already have: the model's own safe one, its bad one, the neutral one. A patch of the
 * prompt at block L changes nothing up to block L, not even for later tokens. So the unpatched prompt + draft goes through the
 * blocks once; after each block L the patches are put in and only blocks L+1… run, over the columns from the first patched one
 * (what stands before is in a key-value cache), teacher-forced. Where the greedy choice equals the draft at every step, its end
 * included, the outcome is exact. Where it parts, decoding goes on from there, guessing with other completions of the same
 * prompt. A row whose two best logits ever lie within {@link NEAR_TIE} is decoded anew by ordinary generation.
 */
import { CrosspatchError, type ProgressSink, silent, throwIfAborted } from '../base/index.ts';
import { checkPatch, type Patch, writePatch } from '../interventions/index.ts';
import { type Decoder, KvCache, type Residual } from '../models/index.ts';
import { decodeOn, decodePatched, type EndRules, extend, type Live } from './draftsDecode.ts';
import { beginsWith, type Check, type Draft, type Probe, verify } from './draftsVerify.ts';

export type { Draft, Probe } from './draftsVerify.ts';

/** Below this distance of the two best logits, batch and summation order could decide (measured noise: 1e-6). */
export const NEAR_TIE = 1e-4;

/** A prompt with the completions it may end in. */
export interface DraftRow {
  readonly ids: readonly number[];
  /** At least one. */
  readonly drafts: readonly Draft[];
  /** First position any patch of this row touches. */
  readonly from: number;
}

/** One patched run of a row at the block in turn. */
export interface PatchedRun extends Omit<Patch, 'block'> {
  /** Runs of one row with one label are expected to end alike from block to block (and draw to draw). */
  readonly arm: string;
  /** Index of the draft to try first, while nothing is known of this arm. Defaults to 0. */
  readonly draft?: number;
  readonly probe?: Probe | undefined;
}

/** How a patched run ended. */
export interface PatchedOutcome extends Draft {
  /** By its draft alone, by decoding on, or decoded anew. */
  readonly how: 'draft' | 'continued' | 'anew';
  /** logit(up) − logit(down) of the probe. */
  readonly probe?: number;
}

/** What the drafts saved. */
export interface DraftStats {
  runs: number;
  /** Runs that ended exactly as their first draft. */
  accepted: number;
  continued: number;
  anew: number;
  /** Draft tokens checked, and those that were the greedy choice. */
  offeredTokens: number;
  acceptedTokens: number;
}

/** Options of {@link runDrafted}. */
export interface DraftOptions extends EndRules {
  /** Most patched rows side by side. Defaults to what fits {@link CACHE_BYTES}, at most 128. */
  readonly batch?: number;
  readonly progress?: ProgressSink;
  /** Name of the progress events. Defaults to `drafts`. */
  readonly stage?: string;
}

/** Bytes the keys and values of one batch of patched rows may take; those of their drafts twice that. */
export const CACHE_BYTES = 1 << 28;

/**
 * Every patched run of every row at every block, exactly as hooked generation would end. `runsOf(row, block)` makes a row's runs
 * (so that patches need not all be held at once); `take(row, block, k, outcome)` receives the outcome of its k-th.
 */
export async function runDrafted(
  decoder: Decoder,
  rows: readonly DraftRow[],
  blocks: readonly number[],
  runsOf: (row: number, block: number) => readonly PatchedRun[],
  take: (row: number, block: number, k: number, outcome: PatchedOutcome) => void,
  options: DraftOptions,
): Promise<DraftStats> {
  const { progress = silent, stage = 'drafts' } = options;
  const stats: DraftStats = {
    runs: 0,
    accepted: 0,
    continued: 0,
    anew: 0,
    offeredTokens: 0,
    acceptedTokens: 0,
  };
  const batch = options.batch ?? fittingBatch(decoder, rows, options.maxNewTokens);
  const sorted = [...new Set(blocks)].sort((a, b) => a - b);
  const groups = groupsOf(rows, batch);
  const total = groups.length * sorted.length;
  let done = 0;
  for (const members of groups) {
    const base = await Base.start(
      decoder,
      members.map((i) => rows[i]!),
      options,
    );
    for (const block of sorted) {
      await base.advance(block);
      const runs = waves(members.map((i) => runsOf(i, block)));
      for (let from = 0; from < runs.length; from += batch) {
        throwIfAborted(options.signal, stage);
        const part = runs.slice(from, from + batch);
        const outcomes = await base.branch(part, stats);
        outcomes.forEach((outcome, j) => {
          take(members[part[j]!.row]!, block, part[j]!.k, outcome);
        });
      }
      progress({ stage, done: ++done, total, unit: 'blocks', figures: { runs: stats.runs } });
    }
  }
  return stats;
}

/**
 * Only the probes of patched runs, nothing decided or decoded: `take(row, block, k, value)` receives the logit difference of the
 * k-th run. Every run needs a probe; rows need no drafts.
 */
export async function runProbes(
  decoder: Decoder,
  rows: readonly Omit<DraftRow, 'drafts'>[],
  blocks: readonly number[],
  runsOf: (row: number, block: number) => readonly (PatchedRun & { readonly probe: Probe })[],
  take: (row: number, block: number, k: number, value: number) => void,
  options: Omit<DraftOptions, 'maxNewTokens' | 'stopTokens'> = {},
): Promise<void> {
  const { progress = silent, stage = 'probes', batch = 128, signal } = options;
  const sorted = [...new Set(blocks)].sort((a, b) => a - b);
  const most = 32;
  const total = Math.ceil(rows.length / most) * sorted.length;
  let done = 0;
  for (let at = 0; at < rows.length; at += most) {
    const members = rows.map((_, i) => i).slice(at, at + most);
    const drafted = members.map((i): DraftRow => {
      const prefix = runsOf(i, sorted[0]!)[0]?.probe.prefix ?? [];
      return { ...rows[i]!, drafts: [{ ids: prefix, finish: 'length' }] };
    });
    const maxNewTokens = 1 + Math.max(...drafted.map((row) => row.drafts[0]!.ids.length));
    const base = await Base.start(decoder, drafted, { maxNewTokens, stopTokens: [], signal });
    for (const block of sorted) {
      await base.advance(block);
      const runs = waves(members.map((i) => runsOf(i, block)));
      for (let from = 0; from < runs.length; from += batch) {
        throwIfAborted(signal, stage);
        const part = runs.slice(from, from + batch);
        (await base.probe(part)).forEach((value, j) => {
          take(members[part[j]!.row]!, block, part[j]!.k, value);
        });
      }
      progress({ stage, done: ++done, total, unit: 'blocks' });
    }
  }
}

/** Share of checked draft tokens that were the greedy choice; 1 when none was checked. */
export function draftAcceptance(stats: Pick<DraftStats, 'offeredTokens' | 'acceptedTokens'>): number {
  return stats.offeredTokens === 0 ? 1 : stats.acceptedTokens / stats.offeredTokens;
}

interface PlacedRun {
  /** Index in the batch of rows. */
  readonly row: number;
  /** Index among the row's runs. */
  readonly k: number;
  readonly run: PatchedRun;
}

/** First runs of all rows, then second runs, …: what one draw shows helps the next to guess. */
function waves(runs: readonly (readonly PatchedRun[])[]): PlacedRun[] {
  const most = Math.max(0, ...runs.map((r) => r.length));
  const out: PlacedRun[] = [];
  for (let k = 0; k < most; k++)
    runs.forEach((own, row) => {
      const run = own[k];
      if (run !== undefined) out.push({ row, k, run });
    });
  return out;
}

/** Completions remembered a row, to guess with. */
const KNOWN = 24;

/** A row with one of its drafts; `fed` draft tokens are read, the last of a full-length one is not needed. */
interface Sequence {
  readonly row: number;
  readonly draft: Draft;
  readonly fed: number;
}

/** A batch of unpatched prompts with their drafts, part way through the blocks. */
class Base {
  readonly #decoder: Decoder;
  readonly #rows: readonly DraftRow[];
  readonly #options: DraftOptions;
  /** Keys and values of what stands before the first patched position, a row of the batch. */
  readonly #before: KvCache;
  /** Unpatched suffixes with drafts: one sequence a row and draft. */
  readonly #sequences: readonly Sequence[];
  readonly #cache: KvCache;
  #residual: Residual;
  #next = 0;
  /** Last outcome of an arm, by row. */
  readonly #last: Map<string, Draft>[];
  readonly #known: Draft[][];

  static async start(decoder: Decoder, rows: readonly DraftRow[], options: DraftOptions): Promise<Base> {
    const { maxNewTokens, signal } = options;
    rows.forEach((row) => {
      if (row.drafts.length === 0 || row.from < 0 || row.from >= row.ids.length)
        throw new CrosspatchError(
          `drafts: row of ${row.ids.length} tokens, patched from ${row.from}, ${row.drafts.length} drafts`,
        );
    });
    const longest = Math.max(...rows.map((r) => r.ids.length));
    const before = new KvCache(decoder.config, rows.length, longest + maxNewTokens);
    if (rows.some((r) => r.from > 0))
      await decoder.run(decoder.embed(rows.map((r) => r.ids.slice(0, r.from))), {
        cache: before,
        ...(signal === undefined ? {} : { signal }),
      });
    const sequences = rows.flatMap((row, r) =>
      row.drafts.map((draft) => ({ row: r, draft, fed: Math.min(draft.ids.length, maxNewTokens - 1) })),
    );
    const cache = before.select(sequences.map((s) => s.row));
    const residual = decoder.embed(
      sequences.map(({ row, draft, fed }) => {
        const { ids, from } = rows[row]!;
        return [...ids.slice(from), ...draft.ids.slice(0, fed)];
      }),
    );
    return new Base(decoder, rows, options, before, sequences, cache, residual);
  }

  private constructor(
    decoder: Decoder,
    rows: readonly DraftRow[],
    options: DraftOptions,
    before: KvCache,
    sequences: readonly Sequence[],
    cache: KvCache,
    residual: Residual,
  ) {
    this.#decoder = decoder;
    this.#rows = rows;
    this.#options = options;
    this.#before = before;
    this.#sequences = sequences;
    this.#cache = cache;
    this.#residual = residual;
    this.#last = rows.map(() => new Map());
    this.#known = rows.map((row) => row.drafts.slice());
  }

  /** Run the unpatched sequences up to and including `block`. */
  async advance(block: number): Promise<void> {
    this.#cache.rewind(this.#sequences.map((s) => this.#rows[s.row]!.from));
    this.#residual = await this.#decoder.run(this.#residual, {
      from: this.#next,
      to: block + 1,
      cache: this.#cache,
    });
    this.#next = block + 1;
  }

  /** The probes of some runs at the block just passed, without deciding how the runs end. */
  async probe(runs: readonly PlacedRun[]): Promise<number[]> {
    const { out, cache, checks } = await this.#pass(runs);
    cache.release();
    const verdicts = await verify(
      this.#decoder,
      out.tensor,
      checks.map((check) => ({ ...check, steps: 0 })),
    );
    return verdicts.map((verdict) => verdict.probe!);
  }

  /** Patch some runs at the block just passed and take them through the other blocks. */
  async #pass(
    runs: readonly PlacedRun[],
  ): Promise<{ chosen: number[]; cache: KvCache; out: Residual; checks: Check[] }> {
    const block = this.#next - 1;
    const chosen = runs.map((run) => this.#choose(run));
    const tensor = this.#patched(runs, chosen, block);
    const counts = chosen.map((q) => this.#residual.counts[q]!);
    const cache = this.#before.select(
      runs.map((r) => r.row),
      block + 1,
    );
    const out = await this.#decoder.run({ tensor, counts }, { from: block + 1, cache });
    const checks = runs.map(({ row, run }, i): Check => {
      const { draft, fed } = this.#sequences[chosen[i]!]!;
      const { ids, from } = this.#rows[row]!;
      const steps = Math.min(draft.ids.length + 1, this.#options.maxNewTokens);
      const probed = run.probe !== undefined && beginsWith(draft.ids.slice(0, fed), run.probe.prefix);
      return {
        column: ids.length - from - 1,
        expected: draft.ids,
        steps,
        ...(probed ? { probe: run.probe } : {}),
      };
    });
    return { chosen, cache, out, checks };
  }

  /** Patch and finish some runs at the block just passed; outcomes in their order. */
  async branch(runs: readonly PlacedRun[], stats: DraftStats): Promise<PatchedOutcome[]> {
    const decoder = this.#decoder;
    const block = this.#next - 1;
    const { chosen, cache, out, checks } = await this.#pass(runs);
    const verdicts = await verify(decoder, out.tensor, checks);

    const lives = verdicts.map(({ accepted, next, gap }, i): Live => {
      const { draft } = this.#sequences[chosen[i]!]!;
      stats.offeredTokens += draft.ids.length;
      stats.acceptedTokens += accepted;
      const live: Live = {
        ids: draft.ids.slice(0, accepted),
        gap,
        finish: undefined,
        known: this.#known[runs[i]!.row]!,
      };
      extend(live, next, this.#options);
      return live;
    });
    const open = lives
      .map((_, i) => i)
      .filter((i) => lives[i]!.finish === undefined && lives[i]!.gap >= NEAR_TIE);
    if (open.length > 0) {
      const full = this.#cache.select(
        open.map((i) => chosen[i]!),
        0,
        block + 1,
      );
      full.rewind(open.map((i) => this.#rows[runs[i]!.row]!.ids.length + verdicts[i]!.accepted));
      full.take(cache, open, block + 1, decoder.nLayers);
      await decodeOn(
        decoder,
        full,
        open.map((i) => lives[i]!),
        this.#options,
      );
      full.release();
    }
    cache.release();
    const ties = lives.map((_, i) => i).filter((i) => lives[i]!.gap < NEAR_TIE);
    const anew = await this.#anew(
      ties.map((i) => runs[i]!),
      block,
    );
    return lives.map((live, i): PatchedOutcome => {
      const { row, run } = runs[i]!;
      const { draft } = this.#sequences[chosen[i]!]!;
      const tie = ties.indexOf(i);
      const end: Draft = tie < 0 ? { ids: live.ids, finish: live.finish! } : anew[tie]!;
      const how = tie >= 0 ? 'anew' : sameDraft(end, draft) ? 'draft' : 'continued';
      stats.runs++;
      stats[how === 'draft' ? 'accepted' : how]++;
      this.#last[row]!.set(run.arm, end);
      remember(this.#known[row]!, end);
      const probe = verdicts[i]!.probe;
      return { ...end, how, ...(probe === undefined ? {} : { probe }) };
    });
  }

  /** The sequence (row and draft) that most likely ends as this run will. */
  #choose({ row, run }: PlacedRun): number {
    const first = this.#sequences.findIndex((s) => s.row === row);
    const own = this.#rows[row]!.drafts.map((draft, j) => ({ draft, q: first + j }));
    const fits =
      run.probe === undefined
        ? own
        : own.filter(({ q, draft }) =>
            beginsWith(draft.ids.slice(0, this.#sequences[q]!.fed), run.probe!.prefix),
          );
    const candidates = fits.length > 0 ? fits : own;
    const last = this.#last[row]!.get(run.arm) ?? this.#rows[row]!.drafts[run.draft ?? 0];
    let best = candidates[0]!;
    for (const candidate of candidates)
      if (last !== undefined && commonPrefix(candidate.draft, last) > commonPrefix(best.draft, last))
        best = candidate;
    return best.q;
  }

  /** Unpatched residuals after `block` of the chosen sequences with the patches put in, [runs, columns, D]. */
  #patched(runs: readonly PlacedRun[], chosen: readonly number[], block: number): Residual['tensor'] {
    const [, wide, d] = this.#residual.tensor.shape as [number, number, number];
    const columns = Math.max(...chosen.map((q) => this.#residual.counts[q]!));
    const data = new Float32Array(runs.length * columns * d);
    runs.forEach(({ row, run }, i) => {
      checkPatch({ ...run, block }, this.#decoder, `patch of arm ${run.arm}`);
      const { from } = this.#rows[row]!;
      if (run.positions.some((p) => p < from))
        throw new CrosspatchError(
          `drafts: arm ${run.arm} patches position ${Math.min(...run.positions)}, the row says from ${from}`,
        );
      const q = chosen[i]!;
      const count = this.#residual.counts[q]!;
      const here = data.subarray(i * columns * d, (i * columns + count) * d);
      here.set(this.#residual.tensor.data.subarray(q * wide * d, (q * wide + count) * d));
      writePatch(run, here, d, from, count);
    });
    return { dtype: 'f32', shape: [runs.length, columns, d], data };
  }

  #anew(runs: readonly PlacedRun[], block: number): Promise<readonly Draft[]> {
    const prompts = runs.map(({ row }) => this.#rows[row]!.ids);
    return decodePatched(
      this.#decoder,
      prompts,
      runs.map(({ run }) => ({ ...run, block })),
      this.#options,
    );
  }
}

/**
 * Rows that go through the blocks together: of like suffixes, at most `batch`, with at most twice as many drafts, in groups of like size
 * (what is decoded on shares the reading of the weights, so few large groups are best).
 */
function groupsOf(rows: readonly DraftRow[], batch: number): number[][] {
  const order = rows.map((_, i) => i).sort((a, b) => suffix(rows[a]!) - suffix(rows[b]!) || a - b);
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

function sameDraft(a: Draft, b: Draft): boolean {
  return a.finish === b.finish && a.ids.length === b.ids.length && beginsWith(a.ids, b.ids);
}

/** The completion seen last stands last; those not seen for long are forgotten. */
function remember(known: Draft[], end: Draft): void {
  const found = known.findIndex((k) => sameDraft(k, end));
  if (found >= 0) known.splice(found, 1);
  else if (known.length >= KNOWN) known.shift();
  known.push(end);
}

/** Tokens in common from the start; the end counts as one. */
function commonPrefix(a: Draft, b: Draft): number {
  let n = 0;
  while (n < a.ids.length && n < b.ids.length && a.ids[n] === b.ids[n]) n++;
  return n === a.ids.length && n === b.ids.length ? n + 1 : n;
}
