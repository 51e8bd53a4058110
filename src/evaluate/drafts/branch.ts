/**
 * @file The patched runs that branch off a batch of unpatched prompts after each block: teacher-forced along a draft, decoded on from
 * where they part.
 */
import { CrosspatchError } from '../../base/index.ts';
import { checkPatch, writePatch } from '../../interventions/index.ts';
import type { Decoder, KvCache, Residual } from '../../models/index.ts';
import { decodeOn, decodePatched, type EndRules, extend, type Live } from './decode.ts';
import { KnownEnds, likest } from './known.ts';
import type { Sequence } from './learnt.ts';
import { type DraftRow, type DraftStats, NEAR_TIE, type PatchedOutcome, type PlacedRun } from './patched.ts';
import { type Chosen, UnpatchedBatch } from './unpatched.ts';
import { beginsWith, type Check, type Draft, sameDraft, verify } from './verify.ts';

/** Patched runs that have passed all blocks, each along its draft. */
interface Passed {
  readonly chosen: readonly Chosen[];
  /** Keys and values of the blocks after the patched one. */
  readonly cache: KvCache;
  readonly out: Residual;
  readonly checks: readonly Check[];
}

/** A batch part way through the blocks, and its patched runs. */
export class Branches {
  readonly #batch: UnpatchedBatch;
  readonly #rules: EndRules;
  readonly #known: KnownEnds;

  static async start(decoder: Decoder, rows: readonly DraftRow[], rules: EndRules): Promise<Branches> {
    return new Branches(await UnpatchedBatch.start(decoder, rows, rules), rules);
  }

  private constructor(batch: UnpatchedBatch, rules: EndRules) {
    this.#batch = batch;
    this.#rules = rules;
    this.#known = new KnownEnds(batch.rows.map((row) => row.drafts));
  }

  /** Run the unpatched sequences up to and including `block`. */
  async advance(block: number): Promise<void> {
    await this.#batch.advance(block);
  }

  /** The probes of some runs at the block just passed, without deciding how the runs end. */
  async probe(runs: readonly PlacedRun[]): Promise<number[]> {
    const { out, cache, checks } = await this.#pass(runs);
    cache.release();
    const verdicts = await verify(
      this.#batch.decoder,
      out.tensor,
      checks.map((check) => ({ ...check, steps: 0 })),
    );
    return verdicts.map((verdict) => verdict.probe!);
  }

  /** Patch and finish some runs at the block just passed; outcomes in their order. */
  async branch(runs: readonly PlacedRun[], stats: DraftStats): Promise<PatchedOutcome[]> {
    const { decoder, block, rows } = this.#batch;
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
        known: this.#known.of(runs[i].row),
        trail: [],
      };
      extend(live, next, this.#rules);
      return live;
    });
    const open = lives
      .map((_, i) => i)
      .filter((i) => lives[i].finish === undefined && lives[i].gap >= NEAR_TIE);
    // Draft tokens whose unpatched keys and values are at hand; what was accepted after them is offered again.
    const covered = verdicts.map(({ accepted }, i) => Math.min(accepted, chosen[i].kept.tokens));
    if (open.length > 0) {
      for (const i of open) lives[i].ids.length = covered[i] + 1;
      const full = this.#batch.keysOf(open.map((i) => chosen[i]));
      full.rewind(open.map((i) => rows[runs[i].row].ids.length + covered[i]));
      full.take(cache, open, block + 1, decoder.nLayers);
      await decodeOn(
        decoder,
        full,
        open.map((i) => lives[i]),
        { ...this.#rules, watched: block },
      );
      full.release();
    }
    cache.release();
    const ties = lives.map((_, i) => i).filter((i) => lives[i].gap < NEAR_TIE);
    const again = await this.#decodeAgain(ties.map((i) => runs[i]));
    return lives.map((live, i): PatchedOutcome => {
      const { row, run } = runs[i];
      const { draft } = chosen[i];
      const tie = ties.indexOf(i);
      const end: Draft = tie < 0 ? { ids: live.ids, finish: live.finish! } : again[tie];
      if (tie < 0)
        this.#batch.learn(chosen[i], end, open.includes(i) ? covered[i] : end.ids.length, live.trail);
      const how = tie >= 0 ? 'again' : sameDraft(end, draft) ? 'draft' : 'continued';
      stats.runs++;
      stats[how === 'draft' ? 'accepted' : how]++;
      this.#known.add(row, run.arm, end);
      const probe = verdicts[i].probe;
      return { ...end, how, probe };
    });
  }

  /** Patch some runs at the block just passed and take them through the other blocks. */
  async #pass(runs: readonly PlacedRun[]): Promise<Passed> {
    const { decoder, before, block, rows } = this.#batch;
    const chosen = runs.map((run) => this.#batch.choose(this.#choose(run)));
    const { tensor, counts } = this.#patched(runs, chosen);
    const cache = before.select(
      runs.map((r) => r.row),
      block + 1,
    );
    const out = await decoder.run({ tensor, counts }, { from: block + 1, cache });
    const checks = runs.map(({ row, run }, i): Check => {
      const { draft, fed } = chosen[i];
      const { ids, from } = rows[row];
      const steps = Math.min(draft.ids.length + 1, this.#rules.maxNewTokens);
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

  /** The sequence (row and draft) that most likely ends as this run will. */
  #choose({ row, run }: PlacedRun): Sequence {
    const own = this.#batch.of(row);
    const fits =
      run.probe === undefined
        ? own
        : own.filter(({ draft, fed }) => beginsWith(draft.ids.slice(0, fed), run.probe!.prefix));
    const candidates = fits.length > 0 ? fits : own;
    const last = this.#known.last(row, run.arm) ?? this.#batch.rows[row].drafts[run.draft ?? 0];
    return likest(candidates, last);
  }

  /** Unpatched residuals after the block just passed of the chosen sequences with the patches put in, [runs, columns, D]. */
  #patched(runs: readonly PlacedRun[], chosen: readonly Chosen[]): Residual {
    const { decoder, block, rows } = this.#batch;
    const d = decoder.config.dModel;
    const counts = chosen.map(({ unpatched }) => unpatched.length / d);
    const columns = Math.max(...counts);
    const data = new Float32Array(runs.length * columns * d);
    runs.forEach(({ row, run }, i) => {
      checkPatch({ ...run, block }, decoder, `patch of arm ${run.arm}`);
      const { from } = rows[row];
      if (run.positions.some((p) => p < from))
        throw new CrosspatchError(
          `drafts: arm ${run.arm} patches position ${Math.min(...run.positions)}, the row says from ${from}`,
          { id: 'graph-invalid' },
        );
      const here = data.subarray(i * columns * d, (i * columns + counts[i]) * d);
      here.set(chosen[i].unpatched);
      writePatch(run, { data: here, width: d, start: from, count: counts[i] });
    });
    return { tensor: { dtype: 'f32', shape: [runs.length, columns, d], data }, counts };
  }

  /** Decode runs again by ordinary generation. */
  #decodeAgain(runs: readonly PlacedRun[]): Promise<readonly Draft[]> {
    const { decoder, block, rows } = this.#batch;
    return decodePatched(
      decoder,
      runs.map(({ row }) => rows[row].ids),
      runs.map(({ run }) => ({ ...run, block })),
      this.#rules,
    );
  }
}
