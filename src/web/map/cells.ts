/** @file Pairs of blocks as cells of the heat map, and the scores of a cell. */
import type { BehaviourResults, BlockPairs } from '../../contracts/index.ts';

/** Scores of a pair in words. */
export const SCORES = {
  logit_shift: 'mapped logit shift',
  ridge_r2: 'held-out ridge R²',
  cka: 'linear CKA (debiased)',
  cka_contrast: 'CKA of safe − bad',
} as const;
export type Score = keyof typeof SCORES;

/** Row and column of the heat map. */
export type Cell = readonly [i: number, j: number];

/** `5-3`, a source and a target block, where both are among those compared. */
export function parseCell(text: string | undefined, pairs: BlockPairs): Cell | undefined {
  const [source, target] = (text ?? '').split('-').map(Number);
  const cell: Cell = [pairs.source_blocks.indexOf(source ?? -1), pairs.target_blocks.indexOf(target ?? -1)];
  return cell[0] < 0 || cell[1] < 0 ? undefined : cell;
}

/** The pair this run used, where it is among those compared. */
export function used({ pair }: BehaviourResults, pairs: BlockPairs): Cell | undefined {
  return parseCell(`${pair.source_block}-${pair.target_block}`, pairs);
}

/** Whether it is the pair this run used. */
export function isUsed({ pair }: BehaviourResults, pairs: BlockPairs, [i, j]: Cell): boolean {
  return pairs.source_blocks[i] === pair.source_block && pairs.target_blocks[j] === pair.target_block;
}

/** The pair of the highest score. */
export function best(pairs: BlockPairs, score: Score): Cell {
  const matrix = pairs[score] ?? [];
  const cells = matrix.flatMap((row, i) =>
    row.map((value, j) => ({ cell: [i, j] as const, value: value ?? Number.NEGATIVE_INFINITY })),
  );
  return cells.sort((a, b) => b.value - a.value)[0]?.cell ?? [0, 0];
}
