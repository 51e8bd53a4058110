/** @file Which keys a query sees, as numbers added to the scores. */

/** Added to the score of an unseen key: its probability is exactly 0 in float32 and float64. */
export const UNSEEN = -1e9;

/** T queries over `past` cached keys. */
interface MaskSize {
  readonly queries: number;
  /** Defaults to 0. */
  readonly past?: number;
  /** Positions a query sees, its own included. Defaults to all before it. */
  readonly window?: number | undefined;
}

/**
 * Causal mask, with a sliding window where given: mask [B,1,T,P+T] over `past` cached keys, of which row b has `starts[b]`, and
 * then the T new ones. mask[b,t,·] = 0 for keys at or before position starts[b]+t and fewer than `window` positions back, else
 * {@link UNSEEN}. Right padding needs no more: a real query stands before every pad.
 */
export function fillMask(
  mask: Float32Array | Float64Array,
  starts: ArrayLike<number>,
  { queries, past = 0, window }: MaskSize,
): void {
  mask.fill(UNSEEN);
  const keys = past + queries;
  for (let b = 0; b < starts.length; b++) {
    const start = starts[b] as number;
    for (let t = 0; t < queries; t++) {
      const first = window === undefined ? 0 : Math.max(0, start + t - window + 1);
      const row = (b * queries + t) * keys;
      if (past > 0) mask.fill(0, row + first, row + Math.max(first, start));
      mask.fill(0, row + past + Math.max(0, first - start), row + past + t + 1);
    }
  }
}
