/** @file Memory that goes from one owner to the next. */

/** Bytes that lie free at most; beyond, those given back longest ago are left to the collector. */
const MOST_FREE = 1 << 28;

/**
 * Buffers that have been given back, for the next who asks: a sweep makes thousands of caches and workspaces of a few sizes, and
 * zeroing, touching and collecting new memory for each costs more than filling it.
 */
export class Buffers {
  readonly #free: Float32Array[] = [];
  #bytes = 0;

  /** `length` numbers of any value. The smallest free buffer that fits is taken, if it is not more than twice as long. */
  take(length: number): Float32Array {
    let best = -1;
    this.#free.forEach((buffer, i) => {
      const fits = buffer.length >= length && buffer.length <= 2 * length;
      if (fits && (best < 0 || buffer.length < (this.#free[best] as Float32Array).length)) best = i;
    });
    if (best < 0) return new Float32Array(length);
    const [found] = this.#free.splice(best, 1) as [Float32Array];
    this.#bytes -= found.byteLength;
    return found.subarray(0, length);
  }

  /** `buffer` or a part of one that was taken; nobody may use it any more. */
  give(buffer: Float32Array): void {
    const whole = new Float32Array(buffer.buffer);
    this.#free.push(whole);
    this.#bytes += whole.byteLength;
    while (this.#bytes > MOST_FREE) this.#bytes -= (this.#free.shift() as Float32Array).byteLength;
  }
}
