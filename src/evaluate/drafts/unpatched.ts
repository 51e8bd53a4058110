/**
 * @file A batch of unpatched prompts with their drafts on its way through the blocks: keys and values, and the residual stream after
 * the block just passed, from each row's first patched position on.
 */
import { CrosspatchError } from '../../base/index.ts';
import { type Decoder, KvCache, type Residual } from '../../models/index.ts';
import type { EndRules } from './decode.ts';
import { LearntDrafts, type Sequence } from './learnt.ts';
import type { DraftRow } from './patched.ts';
import { type Draft, sameDraft } from './verify.ts';

/** What a run follows, with its unpatched residual stream after the block just passed, [columns, D]. */
export interface Chosen extends Sequence {
  readonly unpatched: Float32Array;
}

/** See the file's head. */
export class UnpatchedBatch {
  readonly decoder: Decoder;
  readonly rows: readonly DraftRow[];
  /** Keys and values of what stands before the first patched position, a row of the batch. */
  readonly before: KvCache;
  readonly #maxNewTokens: number;
  /** Unpatched suffixes with drafts: one sequence a row and given draft. */
  readonly #sequences: readonly Sequence[];
  readonly #learnt: LearntDrafts;
  readonly #cache: KvCache;
  #residual: Residual;
  #next = 0;

  static async start(
    decoder: Decoder,
    rows: readonly DraftRow[],
    { maxNewTokens, signal }: EndRules,
  ): Promise<UnpatchedBatch> {
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
    return new UnpatchedBatch(decoder, rows, before, maxNewTokens);
  }

  private constructor(decoder: Decoder, rows: readonly DraftRow[], before: KvCache, maxNewTokens: number) {
    this.decoder = decoder;
    this.rows = rows;
    this.before = before;
    this.#maxNewTokens = maxNewTokens;
    this.#sequences = rows
      .flatMap((row, r) =>
        row.drafts.map((draft) => ({ row: r, draft, fed: fedTokens(draft, maxNewTokens) })),
      )
      .map((s, sequence): Sequence => ({ ...s, kept: { sequence, tokens: s.fed } }));
    this.#cache = before.select(this.#sequences.map((s) => s.row));
    this.#residual = decoder.embed(
      this.#sequences.map(({ row, draft, fed }) => {
        const { ids, from } = rows[row];
        return [...ids.slice(from), ...draft.ids.slice(0, fed)];
      }),
    );
    this.#learnt = new LearntDrafts(decoder, this.#sequences.length);
  }

  /** The block just passed. */
  get block(): number {
    return this.#next - 1;
  }

  /** Run the unpatched sequences up to and including `block`. */
  async advance(block: number): Promise<void> {
    this.#cache.rewind(this.#sequences.map((s) => this.rows[s.row].from));
    this.#residual = await this.decoder.run(this.#residual, {
      from: this.#next,
      to: block + 1,
      cache: this.#cache,
    });
    await this.#learnt.advance(this.before, this.#next, block + 1);
    this.#next = block + 1;
  }

  /** The sequences of a row: those of its given drafts, then the learnt ones. */
  of(row: number): readonly Sequence[] {
    return [...this.#given(row), ...this.#learnt.of(row)];
  }

  /** A run follows this sequence. */
  choose(sequence: Sequence): Chosen {
    return { ...sequence, unpatched: this.#unpatched(sequence) };
  }

  /** Keys and values of the blocks passed so far, of the given drafts that these share theirs with. */
  keysOf(chosen: readonly Sequence[]): KvCache {
    return this.#cache.select(
      chosen.map(({ kept }) => kept.sequence),
      0,
      this.#next,
    );
  }

  /**
   * A run that followed `chosen` has ended otherwise: what it ended in is a draft from now on. Its first `tokens` draft tokens are those
   * of `chosen`, the others have left a trail after the block just passed.
   */
  learn(chosen: Chosen, end: Draft, tokens: number, trail: readonly Float32Array[]): void {
    const { row, kept } = chosen;
    if (this.#given(row).some(({ draft }) => sameDraft(draft, end)) || sameDraft(chosen.draft, end)) return;
    const { ids, from } = this.rows[row];
    const d = this.decoder.config.dModel;
    const fed = fedTokens(end, this.#maxNewTokens);
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

  /** The sequences of a row's given drafts. */
  #given(row: number): readonly Sequence[] {
    const first = this.#sequences.findIndex((s) => s.row === row);
    return this.#sequences.slice(first, first + this.rows[row].drafts.length);
  }

  /** Unpatched residual stream of a sequence after the block just passed, [columns, D]. */
  #unpatched(sequence: Sequence): Float32Array {
    const given = this.#sequences.indexOf(sequence);
    if (given < 0) return this.#learnt.use(sequence);
    const [, wide, d] = this.#residual.tensor.shape as [number, number, number];
    const start = given * wide * d;
    return this.#residual.tensor.data.subarray(start, start + this.#residual.counts[given] * d);
  }
}

/** How many of a draft's tokens are read: after the last that fits nothing is chosen. */
function fedTokens(draft: Draft, maxNewTokens: number): number {
  return Math.min(draft.ids.length, maxNewTokens - 1);
}
