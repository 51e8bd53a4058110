/**
 * @file A batch of unpatched prompts with their drafts on its way through the blocks, and the patched runs that branch off after each:
 * teacher-forced along a draft, decoded on from where they part.
 */
import { CrosspatchError } from '../../base/index.ts';
import { checkPatch, type Patch, writePatch } from '../../interventions/index.ts';
import { type Decoder, KvCache, type Residual } from '../../models/index.ts';
import { decodeOn, decodePatched, type EndRules, extend, type Live } from './decode.ts';
import { LearntDrafts, type Sequence } from './learnt.ts';
import { beginsWith, type Check, type Draft, type Probe, sameDraft, verify } from './verify.ts';

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
  /** By its draft alone, by decoding on, or decoded again. */
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
  readonly run: PatchedRun;
}

/** Completions remembered a row, to guess with. */
const KNOWN = 24;

/** What a run follows, with its unpatched residual stream after the block just passed, [columns, D]. */
interface Chosen extends Sequence {
  readonly unpatched: Float32Array;
}

/** A batch of unpatched prompts with their drafts, part way through the blocks. */
export class Branches {
  readonly #decoder: Decoder;
  readonly #rows: readonly DraftRow[];
  readonly #options: EndRules;
  /** Keys and values of what stands before the first patched position, a row of the batch. */
  readonly #before: KvCache;
  /** Unpatched suffixes with drafts: one sequence a row and given draft. */
  readonly #sequences: readonly Sequence[];
  readonly #learnt: LearntDrafts;
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
          { id: 'graph-invalid' },
        );
    });
    const longest = Math.max(...rows.map((r) => r.ids.length));
    const before = new KvCache(decoder.config, rows.length, longest + maxNewTokens);
    if (rows.some((r) => r.from > 0))
      await decoder.run(decoder.embed(rows.map((r) => r.ids.slice(0, r.from))), {
        cache: before,
        signal,
      });
    const sequences = rows
      .flatMap((row, r) =>
        row.drafts.map((draft) => ({ row: r, draft, fed: fedTokens(draft, maxNewTokens) })),
      )
      .map((s, sequence): Sequence => ({ ...s, kept: { sequence, tokens: s.fed } }));
    const cache = before.select(sequences.map((s) => s.row));
    const residual = decoder.embed(
      sequences.map(({ row, draft, fed }) => {
        const { ids, from } = rows[row];
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
    this.#learnt = new LearntDrafts(decoder, sequences.length);
    this.#last = rows.map(() => new Map());
    this.#known = rows.map((row) => row.drafts.slice());
  }

  /** Run the unpatched sequences up to and including `block`. */
  async advance(block: number): Promise<void> {
    this.#cache.rewind(this.#sequences.map((s) => this.#rows[s.row].from));
    this.#residual = await this.#decoder.run(this.#residual, {
      from: this.#next,
      to: block + 1,
      cache: this.#cache,
    });
    await this.#learnt.advance(this.#before, this.#next, block + 1);
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
  ): Promise<{ chosen: Chosen[]; cache: KvCache; out: Residual; checks: Check[] }> {
    const block = this.#next - 1;
    const chosen = runs.map((run): Chosen => {
      const sequence = this.#choose(run);
      return { ...sequence, unpatched: this.#unpatched(sequence) };
    });
    const { tensor, counts } = this.#patched(runs, chosen, block);
    const cache = this.#before.select(
      runs.map((r) => r.row),
      block + 1,
    );
    const out = await this.#decoder.run({ tensor, counts }, { from: block + 1, cache });
    const checks = runs.map(({ row, run }, i): Check => {
      const { draft, fed } = chosen[i];
      const { ids, from } = this.#rows[row];
      const steps = Math.min(draft.ids.length + 1, this.#options.maxNewTokens);
      const probed = run.probe !== undefined && beginsWith(draft.ids.slice(0, fed), run.probe.prefix);
      return {
        column: ids.length - from - 1,
        expected: draft.ids,
        steps,
        probe: probed ? run.probe : undefined,
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
      const { draft } = chosen[i];
      stats.offeredTokens += draft.ids.length;
      stats.acceptedTokens += accepted;
      const live: Live = {
        ids: draft.ids.slice(0, accepted),
        gap,
        finish: undefined,
        known: this.#known[runs[i].row],
        trail: [],
      };
      extend(live, next, this.#options);
      return live;
    });
    const open = lives
      .map((_, i) => i)
      .filter((i) => lives[i].finish === undefined && lives[i].gap >= NEAR_TIE);
    // Draft tokens whose unpatched keys and values are at hand; what was accepted after them is offered again.
    const covered = verdicts.map(({ accepted }, i) => Math.min(accepted, chosen[i].kept.tokens));
    if (open.length > 0) {
      for (const i of open) lives[i].ids.length = covered[i] + 1;
      const full = this.#cache.select(
        open.map((i) => chosen[i].kept.sequence),
        0,
        block + 1,
      );
      full.rewind(open.map((i) => this.#rows[runs[i].row].ids.length + covered[i]));
      full.take(cache, open, block + 1, decoder.nLayers);
      await decodeOn(
        decoder,
        full,
        open.map((i) => lives[i]),
        this.#options,
        block,
      );
      full.release();
    }
    cache.release();
    const ties = lives.map((_, i) => i).filter((i) => lives[i].gap < NEAR_TIE);
    const anew = await this.#anew(
      ties.map((i) => runs[i]),
      block,
    );
    return lives.map((live, i): PatchedOutcome => {
      const { row, run } = runs[i];
      const { draft } = chosen[i];
      const tie = ties.indexOf(i);
      const end: Draft = tie < 0 ? { ids: live.ids, finish: live.finish! } : anew[tie];
      if (tie < 0) this.#learn(chosen[i], end, open.includes(i) ? covered[i] : end.ids.length, live.trail);
      const how = tie >= 0 ? 'anew' : sameDraft(end, draft) ? 'draft' : 'continued';
      stats.runs++;
      stats[how === 'draft' ? 'accepted' : how]++;
      this.#last[row].set(run.arm, end);
      remember(this.#known[row], end);
      const probe = verdicts[i].probe;
      return { ...end, how, probe };
    });
  }

  /** The sequence (row and draft) that most likely ends as this run will. */
  #choose({ row, run }: PlacedRun): Sequence {
    const own = [...this.#given(row), ...this.#learnt.of(row)];
    const fits =
      run.probe === undefined
        ? own
        : own.filter(({ draft, fed }) => beginsWith(draft.ids.slice(0, fed), run.probe!.prefix));
    const candidates = fits.length > 0 ? fits : own;
    const last = this.#last[row].get(run.arm) ?? this.#rows[row].drafts[run.draft ?? 0];
    let best = candidates[0];
    for (const candidate of candidates)
      if (last !== undefined && commonPrefix(candidate.draft, last) > commonPrefix(best.draft, last))
        best = candidate;
    return best;
  }

  /** The sequences of a row's given drafts. */
  #given(row: number): readonly Sequence[] {
    const first = this.#sequences.findIndex((s) => s.row === row);
    return this.#sequences.slice(first, first + this.#rows[row].drafts.length);
  }

  /** Unpatched residual stream of a sequence after the block just passed, [columns, D]. */
  #unpatched(sequence: Sequence): Float32Array {
    const given = this.#sequences.indexOf(sequence);
    if (given < 0) return this.#learnt.use(sequence);
    const [, wide, d] = this.#residual.tensor.shape as [number, number, number];
    const start = given * wide * d;
    return this.#residual.tensor.data.subarray(start, start + this.#residual.counts[given] * d);
  }

  /**
   * A run that followed `chosen` has ended otherwise: what it ended in is a draft from now on. Its first `tokens` draft tokens are those
   * of `chosen`, the others have left a trail after the block just passed.
   */
  #learn(chosen: Chosen, end: Draft, tokens: number, trail: readonly Float32Array[]): void {
    const { row, kept } = chosen;
    if (this.#given(row).some(({ draft }) => sameDraft(draft, end)) || sameDraft(chosen.draft, end)) return;
    const { ids, from } = this.#rows[row];
    const d = this.#decoder.config.dModel;
    const fed = fedTokens(end, this.#options.maxNewTokens);
    const residual = new Float32Array((ids.length - from + fed) * d);
    const shared = (ids.length - from + Math.min(tokens, fed)) * d;
    residual.set(chosen.unpatched.subarray(0, shared));
    trail.slice(0, fed - tokens).forEach((column, i) => {
      residual.set(column, shared + i * d);
    });
    this.#learnt.add(
      { row, draft: end, fed, kept: { ...kept, tokens: Math.min(kept.tokens, tokens, fed) } },
      residual,
    );
  }

  /** Unpatched residuals after `block` of the chosen sequences with the patches put in, [runs, columns, D]. */
  #patched(runs: readonly PlacedRun[], chosen: readonly Chosen[], block: number): Residual {
    const d = this.#decoder.config.dModel;
    const counts = chosen.map(({ unpatched }) => unpatched.length / d);
    const columns = Math.max(...counts);
    const data = new Float32Array(runs.length * columns * d);
    runs.forEach(({ row, run }, i) => {
      checkPatch({ ...run, block }, this.#decoder, `patch of arm ${run.arm}`);
      const { from } = this.#rows[row];
      if (run.positions.some((p) => p < from))
        throw new CrosspatchError(
          `drafts: arm ${run.arm} patches position ${Math.min(...run.positions)}, the row says from ${from}`,
          { id: 'graph-invalid' },
        );
      const here = data.subarray(i * columns * d, (i * columns + counts[i]) * d);
      here.set(chosen[i].unpatched);
      writePatch(run, here, d, from, counts[i]);
    });
    return { tensor: { dtype: 'f32', shape: [runs.length, columns, d], data }, counts };
  }

  #anew(runs: readonly PlacedRun[], block: number): Promise<readonly Draft[]> {
    const prompts = runs.map(({ row }) => this.#rows[row].ids);
    return decodePatched(
      this.#decoder,
      prompts,
      runs.map(({ run }) => ({ ...run, block })),
      this.#options,
    );
  }
}

/** How many of a draft's tokens are read: after the last that fits nothing is chosen. */
function fedTokens(draft: Draft, maxNewTokens: number): number {
  return Math.min(draft.ids.length, maxNewTokens - 1);
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
