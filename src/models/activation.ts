/** @file What hooks and caches give: a tensor [B,T,D] whose rows can be taken by prompt and position. */
import { InputError } from '../base/index.ts';
import { shapeText, type Tensor } from '../engine/index.ts';

/**
 * Activations of one hook point: float32, `shape` [B,T,D] = prompts, positions, width; `data` flat and row-major. Prompts of a batch
 * are padded on the right to T positions; `counts[b]` of them are real.
 */
export class Activation implements Tensor<'f32'> {
  readonly dtype = 'f32';
  readonly shape: readonly number[];
  readonly data: Float32Array;
  /** Real positions of each prompt. */
  readonly counts: readonly number[];

  constructor({ shape, data }: Pick<Tensor<'f32'>, 'shape' | 'data'>, counts: readonly number[]) {
    this.shape = shape;
    this.data = data;
    this.counts = counts;
  }

  /**
   * The vector [D] of prompt `b` at position `t`, as a window onto `data`: writing to it changes the activation. A negative `t` counts
   * from the prompt's own end, so `row(b, -1)` is its last token whatever the padding.
   *
   * @throws InputError where there is no such prompt or position
   */
  row(b: number, t: number): Float32Array {
    const [rows = 0, columns = 0, width = 0] = this.shape;
    const count = this.counts[b];
    if (count === undefined || b >= rows)
      throw new InputError(`row ${b}: wanted a prompt of 0…${rows - 1} (shape ${shapeText(this.shape)})`);
    const position = t < 0 ? count + t : t;
    if (!Number.isInteger(position) || position < 0 || position >= count)
      throw new InputError(`position ${t}: prompt ${b} has ${count}, wanted ${-count}…${count - 1}`);
    const from = (b * columns + position) * width;
    return this.data.subarray(from, from + width);
  }

  /**
   * {@link row} of a single prompt: `at(-1)` is the last token's vector [D].
   *
   * @throws InputError for a batch of more than one prompt
   */
  at(t: number): Float32Array {
    if (this.shape[0] !== 1)
      throw new InputError(`at(${t}): the batch has ${this.shape[0]} prompts; name one: row(b, ${t})`);
    return this.row(0, t);
  }
}

/** Activations by hook name, in the order in which they were computed. */
export class ActivationCache implements Iterable<[string, Activation]> {
  readonly #byName: ReadonlyMap<string, Activation>;

  constructor(byName: ReadonlyMap<string, Activation>) {
    this.#byName = byName;
  }

  /**
   * The activation [B,T,D] under `name`, in the spelling asked for or the canonical one.
   *
   * @throws InputError when it was not asked for
   */
  get(name: string): Activation {
    const found = this.#byName.get(name);
    if (found !== undefined) return found;
    throw new InputError(
      `cache: ${name} was not kept; there are ${[...this.#byName.keys()].join(', ')}. Ask for it with namesFilter`,
      { id: 'hook-unknown' },
    );
  }

  /** Whether `name` was kept. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Names kept. */
  get names(): string[] {
    return [...this.#byName.keys()];
  }

  get size(): number {
    return this.#byName.size;
  }

  [Symbol.iterator](): IterableIterator<[string, Activation]> {
    return this.#byName.entries();
  }
}
