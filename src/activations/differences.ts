/** @file How far two readings of the same tokens are apart, layer by layer: ‖Δ‖/‖h‖ of every token, and over all of them. */
import { InputError } from '../base/index.ts';
import type { CaptureDifference } from './capture-index.ts';
import type { ForeignActivations } from './foreign.ts';

/** Collects differences of one layer. */
export class Differences {
  readonly #ratios: number[] = [];
  #squares = 0;
  #of = 0;

  /** One token: row `theirs` against row `own`, which has `width` numbers from `at` on. */
  add(
    theirs: Float32Array,
    own: Float32Array,
    { from, at, width }: { from: number; at: number; width: number },
  ): void {
    let squares = 0;
    let of = 0;
    for (let k = 0; k < width; k++) {
      const value = own[at + k] as number;
      squares += ((theirs[from + k] as number) - value) ** 2;
      of += value ** 2;
    }
    this.#squares += squares;
    this.#of += of;
    if (squares > 0 || of > 0) this.#ratios.push(Math.sqrt(squares / of));
  }

  /** √(Σ‖Δ‖² / Σ‖h‖²). */
  get overall(): number {
    return this.#squares === 0 ? 0 : Math.sqrt(this.#squares / this.#of);
  }

  /** As it is recorded. Rows of zeros on both sides do not count. */
  result(hook: string): CaptureDifference['layers'][number] {
    const sorted = this.#ratios.toSorted((a, b) => a - b);
    const finite = (x: number | undefined): number => (Number.isFinite(x) ? (x as number) : 0);
    return {
      hook,
      difference: finite(this.overall),
      median: finite(sorted[Math.floor(sorted.length / 2)]),
      max: finite(sorted.at(-1)),
    };
  }
}

/** Above this no rounding, quantisation or batch explains the difference. */
export const FARTHEST = 0.5;

/**
 * The same texts captured twice, in other batches: found by their tokens, whatever their files are called. What they differ by is the
 * noise of the engine that captured them.
 *
 * @throws InputError when a text is missing, or when the two are not of one model
 */
export async function differenceAgain(
  first: ForeignActivations,
  again: ForeignActivations,
  folder: string,
): Promise<CaptureDifference> {
  const invalid = (message: string): InputError =>
    new InputError(`${folder}: ${message}`, { id: 'data-invalid' });
  const at = new Map(again.texts.map(({ ids }, i) => [ids.join(), i]));
  const layers = first.hooks.map(() => new Differences());
  let rows = 0;
  for (const [i, { id, ids }] of first.texts.entries()) {
    const other = at.get(ids.join());
    if (other === undefined)
      throw invalid(
        `holds no text with the tokens of ${id} (${ids.slice(0, 4).join(', ')}…); capture the same texts twice`,
      );
    const [theirs, own] = [await again.hidden(other), await first.hidden(i)];
    const width = own.length / (ids.length * layers.length);
    for (let t = 0; t < ids.length; t++)
      for (const [h, layer] of layers.entries()) {
        const from = (t * layers.length + h) * width;
        layer.add(theirs, own, { from, at: from, width });
      }
    rows += ids.length;
  }
  for (const [h, layer] of layers.entries())
    if (layer.overall > FARTHEST)
      throw invalid(
        `${first.hooks[h]} differs by ${layer.overall.toPrecision(3)} of its length from the first capture; these are two models, or other layers`,
      );
  return {
    texts: first.texts.length,
    rows,
    layers: layers.map((layer, h) => layer.result(first.hooks[h] as string)),
  };
}
