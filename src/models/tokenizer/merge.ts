/** @file Byte-pair merging of one word: again and again the pair of lowest rank, leftmost first (Sennrich et al. 2016). */
import type { MergeRules } from './pair-table.ts';

/** Up to this many symbols a scan for the best pair beats a heap. */
const SCAN_LIMIT = 48;

/** The symbols of a word: token ids, and where each begins and ends in the text. */
export interface Symbols {
  readonly ids: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/**
 * Merge the first `count` symbols in place and return how many are left. `ids` and `ends` are compacted; the start of a symbol is not
 * touched by what is merged into it, so `starts` is compacted as well.
 */
export function mergeSymbols(symbols: Symbols, count: number, pairs: MergeRules): number {
  return count <= SCAN_LIMIT ? mergeByScan(symbols, count, pairs) : mergeByHeap(symbols, count, pairs);
}

const scanRanks = new Float64Array(SCAN_LIMIT);

function mergeByScan({ ids, starts, ends }: Symbols, count: number, pairs: MergeRules): number {
  const rankAt = (i: number): number => {
    const slot = pairs.find(ids[i] as number, ids[i + 1] as number);
    return slot < 0 ? Number.POSITIVE_INFINITY : pairs.rank(slot);
  };
  let n = count;
  for (let i = 0; i + 1 < n; i++) scanRanks[i] = rankAt(i);
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < n; i++) {
      if ((scanRanks[i] as number) < bestRank) {
        bestRank = scanRanks[i] as number;
        best = i;
      }
    }
    if (best < 0) return n;
    ids[best] = pairs.merged(pairs.find(ids[best] as number, ids[best + 1] as number));
    ends[best] = ends[best + 1] as number;
    ids.copyWithin(best + 1, best + 2, n);
    starts.copyWithin(best + 1, best + 2, n);
    ends.copyWithin(best + 1, best + 2, n);
    scanRanks.copyWithin(best + 1, best + 2, n - 1);
    n--;
    if (best + 1 < n) scanRanks[best] = rankAt(best);
    if (best > 0) scanRanks[best - 1] = rankAt(best - 1);
  }
}

/** Keys are rank · count + position, so one number orders by rank, then from the left. Exact below 2⁵³. */
function mergeByHeap({ ids, starts, ends }: Symbols, count: number, pairs: MergeRules): number {
  const next = new Int32Array(count);
  const previous = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    next[i] = i + 1 < count ? i + 1 : -1;
    previous[i] = i - 1;
  }
  const heap = new MinHeap(count);
  const offer = (i: number): void => {
    const j = next[i] as number;
    if (j < 0) return;
    const slot = pairs.find(ids[i] as number, ids[j] as number);
    if (slot >= 0) heap.push(pairs.rank(slot) * count + i);
  };
  for (let i = 0; i < count; i++) offer(i);
  for (let key = heap.pop(); key >= 0; key = heap.pop()) {
    const i = key % count;
    const j = next[i] as number;
    if (ids[i] === -1 || j < 0) continue;
    const slot = pairs.find(ids[i] as number, ids[j] as number);
    if (slot < 0 || pairs.rank(slot) !== Math.floor(key / count)) continue; // an older pair stood here
    ids[i] = pairs.merged(slot);
    ends[i] = ends[j] as number;
    ids[j] = -1;
    const after = next[j] as number;
    next[i] = after;
    if (after >= 0) previous[after] = i;
    if ((previous[i] as number) >= 0) offer(previous[i] as number);
    offer(i);
  }
  let n = 0;
  for (let i = 0; i >= 0; i = next[i] as number, n++) {
    ids[n] = ids[i] as number;
    starts[n] = starts[i] as number;
    ends[n] = ends[i] as number;
  }
  return n;
}

/** Binary min-heap of numbers ≥ 0; `pop` gives −1 when empty. */
class MinHeap {
  #items: Float64Array;
  #size = 0;

  constructor(capacity: number) {
    this.#items = new Float64Array(capacity);
  }

  push(value: number): void {
    if (this.#size === this.#items.length) {
      const grown = new Float64Array(this.#size * 2);
      grown.set(this.#items);
      this.#items = grown;
    }
    const items = this.#items;
    let i = this.#size++;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((items[parent] as number) <= value) break;
      items[i] = items[parent] as number;
      i = parent;
    }
    items[i] = value;
  }

  pop(): number {
    if (this.#size === 0) return -1;
    const items = this.#items;
    const top = items[0] as number;
    const value = items[--this.#size] as number;
    let i = 0;
    for (let child = 1; child < this.#size; child = 2 * i + 1) {
      if (child + 1 < this.#size && (items[child + 1] as number) < (items[child] as number)) child++;
      if ((items[child] as number) >= value) break;
      items[i] = items[child] as number;
      i = child;
    }
    items[i] = value;
    return top;
  }
}
