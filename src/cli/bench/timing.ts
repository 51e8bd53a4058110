/** @file Timing on a machine whose speed changes while one looks: what is compared takes turns, and medians are kept. */
import { throwIfAborted } from '../../base/index.ts';

/** Something to time; returns how much work it did, in the unit its rate is counted in. */
export type Task = () => Promise<number>;

/** Rates (work a second) of tasks that took turns. */
export class Turns<K extends string> {
  readonly #rates: ReadonlyMap<K, readonly number[]>;

  constructor(rates: ReadonlyMap<K, readonly number[]>) {
    this.#rates = rates;
  }

  /** Median rate of one. */
  rate(name: K): number {
    return median(this.#of(name));
  }

  /** Median over the turns of how much faster `name` was than `other` in the same turn: what slows a whole turn cancels. */
  ratio(name: K, other: K): number {
    const others = this.#of(other);
    return median(this.#of(name).map((rate, turn) => rate / (others[turn] as number)));
  }

  #of(name: K): readonly number[] {
    return this.#rates.get(name) as readonly number[];
  }
}

/** Let tasks take turns, `rounds` times. */
export async function interleaved<K extends string>(
  tasks: Readonly<Record<K, Task>>,
  rounds: number,
  signal?: AbortSignal,
): Promise<Turns<K>> {
  const rates = new Map<K, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const name of Object.keys(tasks) as K[]) {
      throwIfAborted(signal, 'bench');
      const started = performance.now();
      const work = await tasks[name]();
      const seconds = (performance.now() - started) / 1000;
      rates.set(name, [...(rates.get(name) ?? []), work / seconds]);
    }
  }
  return new Turns(rates);
}

/** Middle value; of an even number the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  return ((sorted[Math.ceil(half) - 1] as number) + (sorted[Math.floor(half)] as number)) / 2;
}
