/** @file What leaves a stretch of blocks must be numbers. */
import { CrosspatchError } from '../../base/index.ts';
import type { Tensor } from '../../engine/index.ts';

/**
 * Refuse a residual [B,T,D] that is no longer numbers: whatever is computed from it would be wrong without a word. Pads are not looked
 * at. The row is named but no position: attention spreads a NaN over all of them.
 */
export function refuseNonFiniteRows(
  { data, shape }: Tensor<'f32'>,
  counts: readonly number[],
  rows: readonly number[],
  to: number,
): void {
  const [, columns, width] = shape as [number, number, number];
  counts.forEach((count, b) => {
    const from = b * columns * width;
    for (let i = from; i < from + count * width; i++)
      if (!Number.isFinite(data[i]))
        throw new CrosspatchError(
          `forward pass: wanted finite activations, got ${data[i]} in row ${rows[b]} ${to === 0 ? 'of the embedding' : `after block ${to - 1}`}; a hook wrote it, or the values grew beyond float32`,
          { id: 'not-a-number' },
        );
  });
}
