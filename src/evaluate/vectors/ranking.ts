/** @file Which blocks to steer: those that separate held-out pairs best, of the first four fifths. */
import type { VectorBlock } from '../../contracts/index.ts';

/**
 * Blocks, the best first: of those in the first four fifths, where a change still has blocks to act through (Arditi et al., 2024, §2.3),
 * by AUROC, and among equals by the distance of the means in standard deviations. Unmeasured blocks: the middle one first.
 */
export function rankedBlocks(blocks: readonly VectorBlock[], nLayers: number): VectorBlock[] {
  const early = blocks.filter(({ block }) => block < 0.8 * nLayers);
  const candidates = early.length > 0 ? early : blocks;
  const middle = candidates[Math.floor((candidates.length - 1) / 2)].block;
  const away = ({ block }: VectorBlock): number => Math.abs(block - middle);
  return candidates.toSorted(
    (a, b) =>
      (b.separability?.auroc.value ?? 0) - (a.separability?.auroc.value ?? 0) ||
      (b.separability?.gap_sd ?? 0) - (a.separability?.gap_sd ?? 0) ||
      away(a) - away(b),
  );
}

/** The best block, and why. */
export function recommendedBlock(
  blocks: readonly VectorBlock[],
  nLayers: number,
): { block: number; reason: string } {
  const [{ block, separability }] = rankedBlocks(blocks, nLayers);
  if (separability === undefined)
    return { block, reason: 'the middle one: no pair was held out to measure on' };
  const { auroc, gap_sd } = separability;
  const apart = gap_sd === null ? '' : `, means ${gap_sd.toFixed(1)} standard deviations apart`;
  return {
    block,
    reason: `best held-out separation of the first four fifths of the blocks: AUROC ${auroc.value.toFixed(2)}${apart}`,
  };
}
