/** @file Merge rules of a BPE in one flat hash table: (left id, right id) → rank and merged id. 16 bytes a slot, load ≤ 1/2. */

/** Open addressing with linear probing over Int32 rows [left, right, rank, merged]; left −1 marks an empty slot. */
export class PairTable {
  readonly #rows: Int32Array;
  readonly #mask: number;

  /** Room for `count` pairs. */
  constructor(count: number) {
    let slots = 16;
    while (slots < count * 2) slots *= 2;
    this.#rows = new Int32Array(slots * 4).fill(-1);
    this.#mask = slots - 1;
  }

  /** A later rule for the same pair replaces the earlier one, as in the Rust library. */
  set(left: number, right: number, rank: number, merged: number): void {
    let slot = this.#first(left, right);
    while (this.#rows[slot] !== -1 && (this.#rows[slot] !== left || this.#rows[slot + 1] !== right))
      slot = this.#next(slot);
    this.#rows[slot] = left;
    this.#rows[slot + 1] = right;
    this.#rows[slot + 2] = rank;
    this.#rows[slot + 3] = merged;
  }

  /** Slot of the pair, −1 if there is no rule. */
  find(left: number, right: number): number {
    for (let slot = this.#first(left, right); this.#rows[slot] !== -1; slot = this.#next(slot))
      if (this.#rows[slot] === left && this.#rows[slot + 1] === right) return slot;
    return -1;
  }

  rank(slot: number): number {
    return this.#rows[slot + 2] as number;
  }

  merged(slot: number): number {
    return this.#rows[slot + 3] as number;
  }

  #first(left: number, right: number): number {
    const h = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca77);
    return ((h ^ (h >>> 15)) & this.#mask) * 4;
  }

  #next(slot: number): number {
    return (slot + 4) & (this.#mask * 4 + 3);
  }
}
