/** @file Merge rules of a BPE in one flat hash table: (left id, right id) → rank and merged id. 20 bytes a slot, load ≤ 1/2. */

/** Where a BPE looks up its rules. */
export interface MergeRules {
  /** Slot of the rule for the pair, −1 if there is none. It holds until the next `find`. */
  find(left: number, right: number): number;
  /** The rule of lowest rank goes first. Whole and ≥ 0. */
  rank(slot: number): number;
  /** Id of the joined token. */
  merged(slot: number): number;
}

/** Open addressing with linear probing over Int32 keys [left, right]; left −1 marks an empty slot. */
export class PairTable implements MergeRules {
  #keys: Int32Array;
  #merged: Int32Array;
  #ranks: Float64Array;
  #mask: number;
  #size = 0;

  /** Room for `count` pairs; it grows where more come. */
  constructor(count: number) {
    let slots = 16;
    while (slots < count * 2) slots *= 2;
    this.#keys = new Int32Array(slots * 2).fill(-1);
    this.#merged = new Int32Array(slots);
    this.#ranks = new Float64Array(slots);
    this.#mask = slots - 1;
  }

  /** Pairs in the table. */
  get size(): number {
    return this.#size;
  }

  /** A later rule for the same pair replaces the earlier one, as in the Rust library. Returns its slot. */
  set(left: number, right: number, rank: number, merged: number): number {
    if ((this.#size + 1) * 2 > this.#mask + 1) this.#grow();
    let slot = this.#first(left, right);
    while (!this.#empty(slot) && !this.#is(slot, left, right)) slot = this.#next(slot);
    if (this.#empty(slot)) this.#size++;
    this.#keys[slot * 2] = left;
    this.#keys[slot * 2 + 1] = right;
    this.#ranks[slot] = rank;
    this.#merged[slot] = merged;
    return slot;
  }

  find(left: number, right: number): number {
    for (let slot = this.#first(left, right); !this.#empty(slot); slot = this.#next(slot))
      if (this.#is(slot, left, right)) return slot;
    return -1;
  }

  rank(slot: number): number {
    return this.#ranks[slot] as number;
  }

  merged(slot: number): number {
    return this.#merged[slot] as number;
  }

  #grow(): void {
    const [keys, ranks, merged] = [this.#keys, this.#ranks, this.#merged];
    const slots = (this.#mask + 1) * 2;
    this.#keys = new Int32Array(slots * 2).fill(-1);
    this.#merged = new Int32Array(slots);
    this.#ranks = new Float64Array(slots);
    this.#mask = slots - 1;
    this.#size = 0;
    for (let slot = 0; slot < ranks.length; slot++) {
      const left = keys[slot * 2] as number;
      if (left !== -1)
        this.set(left, keys[slot * 2 + 1] as number, ranks[slot] as number, merged[slot] as number);
    }
  }

  #empty(slot: number): boolean {
    return this.#keys[slot * 2] === -1;
  }

  #is(slot: number, left: number, right: number): boolean {
    return this.#keys[slot * 2] === left && this.#keys[slot * 2 + 1] === right;
  }

  #first(left: number, right: number): number {
    const h = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca77);
    return (h ^ (h >>> 15)) & this.#mask;
  }

  #next(slot: number): number {
    return (slot + 1) & this.#mask;
  }
}
