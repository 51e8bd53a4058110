/**
 * @file Completions that patched runs have come to, as drafts for later blocks. A patch at block L leaves the residual stream up
 * to L as it is, for the tokens decoded on too: what decoding on has passed there is the unpatched stream of the new draft, so that
 * learning one costs nothing but to keep it, and each later block one block of it.
 */
import { CrosspatchError } from '../../base/index.ts';
import type { Decoder, KvCache } from '../../models/index.ts';
import { type Draft, sameDraft } from './verify.ts';

/** A row of the batch with one of its drafts; `fed` draft tokens are read, the last of a full-length one is not needed. */
export interface Sequence {
  readonly row: number;
  readonly draft: Draft;
  readonly fed: number;
  /** The given draft whose keys and values are kept, and of how many draft tokens they are this one's too. */
  readonly kept: { readonly sequence: number; readonly tokens: number };
}

/** With the unpatched residual stream after the block in turn, [columns, D], from the row's first patched position on. */
interface Learnt extends Sequence {
  residual: Float32Array;
  /** Turn in which a run last chose it. */
  used: number;
}

/** Learnt drafts kept a row, and for how many blocks one that no run chooses. */
const KEPT = 4;
const IDLE = 2;

/** The learnt drafts of a batch of rows. */
export class LearntDrafts {
  readonly #decoder: Decoder;
  readonly #atOnce: number;
  #learnt: Learnt[] = [];
  #turn = 0;

  /** At most `atOnce` of them go through a block side by side. */
  constructor(decoder: Decoder, atOnce: number) {
    this.#decoder = decoder;
    this.#atOnce = atOnce;
  }

  /** Those of a row, the one used last first. */
  of(row: number): Sequence[] {
    return this.#learnt.filter((s) => s.row === row).toSorted((a, b) => b.used - a.used);
  }

  /** A run has chosen it: its unpatched residual stream [columns, D]. */
  use(sequence: Sequence): Float32Array {
    const learnt = this.#learnt.find((s) => s === sequence);
    if (learnt === undefined)
      throw new CrosspatchError('drafts: a learnt draft was dropped while in use', { id: 'internal' });
    learnt.used = this.#turn;
    return learnt.residual;
  }

  /** Keep one, with its residual stream after the block in turn; the one of its row that was idle longest makes room. */
  add(sequence: Sequence, residual: Float32Array): void {
    if (this.#learnt.some((s) => s.row === sequence.row && sameDraft(s.draft, sequence.draft))) return;
    const own = this.of(sequence.row);
    if (own.length >= KEPT) this.#learnt = this.#learnt.filter((s) => s !== own.at(-1));
    this.#learnt.push({ ...sequence, residual, used: this.#turn });
  }

  /** Take what is still in use through blocks `from`…`to`−1; `before` holds the keys and values of what stands before the patches. */
  async advance(before: KvCache, from: number, to: number): Promise<void> {
    this.#learnt = this.#learnt.filter((s) => this.#turn - s.used < IDLE);
    this.#turn++;
    for (let at = 0; at < this.#learnt.length; at += this.#atOnce)
      await this.#through(this.#learnt.slice(at, at + this.#atOnce), before, from, to);
  }

  async #through(learnt: readonly Learnt[], before: KvCache, from: number, to: number): Promise<void> {
    const d = this.#decoder.config.dModel;
    const counts = learnt.map((s) => s.residual.length / d);
    const columns = Math.max(...counts);
    const data = new Float32Array(learnt.length * columns * d);
    learnt.forEach((s, i) => {
      data.set(s.residual, i * columns * d);
    });
    const cache = before.select(
      learnt.map((s) => s.row),
      from,
      to,
    );
    const { tensor } = await this.#decoder.run(
      { tensor: { dtype: 'f32', shape: [learnt.length, columns, d], data }, counts },
      { from, to, cache },
    );
    cache.release();
    learnt.forEach((s, i) => {
      s.residual.set(tensor.data.subarray(i * columns * d, (i * columns + counts[i]) * d));
    });
  }
}
