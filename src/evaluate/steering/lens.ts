/** @file How far every token of prompts and answers lies along a vector, read while the model writes, before the vector is added. */
import type { Intervention } from '../../contracts/index.ts';
import { valuesOf } from '../../interventions/index.ts';
import { type FwdHook, reading } from '../../models/index.ts';
import { dot } from '../vector.ts';

/**
 * Reads h·v/‖v‖² at an edit's hook: 1 is what adding v once would do. Its hooks go before those of the edits, so that what is read
 * is the text's own.
 */
export class Lens {
  readonly hooks: readonly FwdHook[];
  /** Row → values by position. */
  readonly #read = new Map<number, number[]>();

  /** `edit` holds one vector. */
  constructor(edit: Intervention, where: string) {
    const v = Float32Array.from(valuesOf(edit, where));
    const square = dot(v, v) || 1;
    const d = v.length;
    this.hooks = [
      [
        edit.hook,
        reading(({ data, shape }, { rows, starts, counts }) => {
          const columns = shape[1];
          for (const [b, row] of rows.entries()) {
            const values = this.#read.get(row) ?? [];
            this.#read.set(row, values);
            for (let t = 0; t < counts[b]; t++) {
              const from = (b * columns + t) * d;
              values[starts[b] + t] = dot(data.subarray(from, from + d), v) / square;
            }
          }
        }),
      ],
    ];
  }

  /** Values of positions `from`…`to`−1 of a row, to three digits; null where the token was never read (the last one of an answer). */
  values(row: number, from: number, to: number): (number | null)[] {
    const values = this.#read.get(row) ?? [];
    return Array.from({ length: to - from }, (_, i) => {
      const value = values[from + i];
      return value === undefined ? null : Number(value.toPrecision(3));
    });
  }

  /** Forget what was read. */
  reset(): void {
    this.#read.clear();
  }
}
