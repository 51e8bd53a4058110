/**
 * @file Python's `random.Random(seed).sample`, so that few-shot rows are those lm-evaluation-harness draws. The generator is MT19937
 * (M. Matsumoto and T. Nishimura, 1998) with its `init_by_array`; the choice without replacement is CPython's (`Lib/random.py`).
 */

/** Words of the state. */
const N = 624;
const M = 397;

/** Draws as Python's `Random(seed)` makes them; `seed` is a whole number from 0 to 2³²−1. */
export class PythonRandom {
  readonly #state = new Uint32Array(N);
  #at = N;

  constructor(seed: number) {
    const s = this.#state;
    s[0] = 19_650_218;
    for (let i = 1; i < N; i++) s[i] = Math.imul(1_812_433_253, mixed(s, i - 1)) + i;
    // init_by_array with the one word of the seed
    let i = 1;
    for (let k = 0; k < N; k++) {
      s[i] = (at(s, i) ^ Math.imul(mixed(s, i - 1), 1_664_525)) + seed;
      i = this.#next(i);
    }
    for (let k = 0; k < N - 1; k++) {
      s[i] = (at(s, i) ^ Math.imul(mixed(s, i - 1), 1_566_083_941)) - i;
      i = this.#next(i);
    }
    s[0] = 0x8000_0000;
  }

  /** `k` of the whole numbers 0…n−1, all different, in the order drawn. */
  sample(n: number, k: number): number[] {
    if (k > n) throw new RangeError(`sample: wanted ${k} of ${n}`);
    const setSize = 21 + (k > 5 ? 4 ** Math.ceil(Math.log(k * 3) / Math.log(4)) : 0);
    if (n > setSize) {
      const drawn = new Set<number>();
      while (drawn.size < k) drawn.add(this.#below(n));
      return [...drawn];
    }
    const pool = Array.from({ length: n }, (_, i) => i);
    return Array.from({ length: k }, (_, i) => {
      const j = this.#below(n - i);
      const chosen = pool[j] as number;
      pool[j] = pool[n - i - 1] as number;
      return chosen;
    });
  }

  /** A whole number below `n`: as many bits as `n` has, again until they are below it. */
  #below(n: number): number {
    const bits = 32 - Math.clz32(n);
    for (;;) {
      const drawn = this.#word() >>> (32 - bits);
      if (drawn < n) return drawn;
    }
  }

  /** 32 random bits. */
  #word(): number {
    if (this.#at >= N) this.#twist();
    let y = at(this.#state, this.#at++);
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c_5680;
    y ^= (y << 15) & 0xefc6_0000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  #twist(): void {
    const s = this.#state;
    for (let i = 0; i < N; i++) {
      const y = (at(s, i) & 0x8000_0000) | (at(s, (i + 1) % N) & 0x7fff_ffff);
      s[i] = at(s, (i + M) % N) ^ (y >>> 1) ^ (y & 1 ? 0x9908_b0df : 0);
    }
    this.#at = 0;
  }

  /** The index after `i` while the state is made; past the end, the last word becomes the first. */
  #next(i: number): number {
    if (i + 1 < N) return i + 1;
    this.#state[0] = at(this.#state, N - 1);
    return 1;
  }
}

function at(state: Uint32Array, i: number): number {
  return state[i] as number;
}

function mixed(state: Uint32Array, i: number): number {
  return at(state, i) ^ (at(state, i) >>> 30);
}
