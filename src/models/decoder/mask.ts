/** @file Which keys a query sees, as numbers added to the scores. */

/** Added to the score of an unseen key: its probability is exactly 0 in float32 and float64. */
export const UNSEEN = -1e9;

/**
 * Causal mask, with a sliding window where given: mask [B,1,T,S] with mask[b,t,s] = 0 when key s is at or before query
 * position starts[b]+t and fewer than `window` positions back, else {@link UNSEEN}. Right padding needs no more: a real
 * query stands before every pad.
 */
export function fillMask(
  mask: Float32Array | Float64Array,
  starts: ArrayLike<number>,
  queries: number,
  keys: number,
  window: number | undefined,
): void {
  mask.fill(UNSEEN);
  for (let b = 0; b < starts.length; b++) {
    for (let t = 0; t < queries; t++) {
      const position = (starts[b] as number) + t;
      const first = window === undefined ? 0 : Math.max(0, position - window + 1);
      const row = (b * queries + t) * keys;
      mask.fill(0, row + first, row + Math.min(keys, position + 1));
    }
  }
}
