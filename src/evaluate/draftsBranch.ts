/**
 * @file A batch of unpatched prompts with their drafts on its way through the blocks, and the patched runs that branch off after each:
 * teacher-forced along a draft, decoded on from where they part.
 */
import { CrosspatchError } from '../base/index.ts';
import { checkPatch, type Patch, writePatch } from '../interventions/index.ts';
import { type Decoder, KvCache, type Residual } from '../models/index.ts';
import { decodeOn, decodePatched, type EndRules, extend, type Live } from './draftsDecode.ts';
import { beginsWith, type Check, type Draft, type Probe, verify } from './draftsVerify.ts';

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

/** A patched run of one row of the batch. */
export interface PlacedRun {
  /** Index in the batch of rows. */
  readonly row: number;
  /** Index among the row's runs. */
  readonly k: number;
  readonly run: PatchedRun;
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
export class Branches {
  readonly #decoder: Decoder;
  readonly #rows: readonly DraftRow[];
  readonly #options: EndRules;
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

  static async start(decoder: Decoder, rows: readonly DraftRow[], options: EndRules): Promise<Branches> {
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
    return new Branches(decoder, rows, options, before, sequences, cache, residual);
  }

  private constructor(
    decoder: Decoder,
    rows: readonly DraftRow[],
    options: EndRules,
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
