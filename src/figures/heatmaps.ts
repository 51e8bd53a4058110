/** @file The two heat maps: block × position (where the information sits), and source block × target block (which pair to map). */
import type { BehaviourResults } from '../contracts/index.ts';
import { matrixPanels } from './matrix.ts';
import { chunk, clip, figureNumber, percent, short } from './records.ts';
import { type DataRow, type FigureSpec, NARROW } from './spec.ts';

/** Block × position; null when it was not measured. */
export function positionFigure({ pair, heatmap }: BehaviourResults): FigureSpec | null {
  const sides = (['source', 'target'] as const).flatMap((side) => {
    const map = heatmap?.[side];
    return map && map.blocks.length > 0 ? [{ side, name: pair[side], map }] : [];
  });
  if (sides.length === 0) return null;
  return {
    id: `${pair.behaviour}-${pair.placement}-positions`,
    title: 'Block × position: where the trigger’s information sits',
    caption:
      'Logit shift when only this position is set at only this block: 0 = the unpatched bad run, 1 = the safe run. ' +
      'Rows far from the trigger are the control: they should stay near 0 until the information has moved there. Validation prompts.',
    rows: sides.flatMap(({ side, map }) =>
      map.blocks.flatMap((block, i) =>
        map.positions.map(
          (position, j): DataRow => ({ side, block, position, logit_shift: map.logit_shift[i]?.[j] ?? null }),
        ),
      ),
    ),
    layout: (width) => {
      const stacked = width < NARROW;
      const w = stacked ? width : Math.floor((width - 12 * (sides.length - 1)) / sides.length);
      const columns = sides.map(({ name, map }) =>
        matrixPanels({
          title: name,
          width: w,
          xLabel: 'block',
          yLabel: 'position',
          columns: map.blocks.map(String),
          rows: unique(map.positions),
          values: map.positions.map((_, j) => map.blocks.map((_, i) => map.logit_shift[i]?.[j] ?? null)),
          domain: [0, 1],
        }),
      );
      return { legend: [], rows: stacked ? columns.flat().map((p) => [p]) : transpose(columns) };
    },
  };
}

const SCORES = {
  ridge_r2: 'held-out ridge R²',
  cka: 'debiased linear CKA',
  cka_contrast: 'CKA of safe − bad',
  logit_shift: 'mapped logit shift',
} as const;

/** Source block × target block by each cheap score; null when it was not measured. */
export function pairsFigure({ pair, block_pairs: pairs }: BehaviourResults): FigureSpec | null {
  if (!pairs) return null;
  const scores = (Object.keys(SCORES) as (keyof typeof SCORES)[]).filter((score) => pairs[score]);
  if (scores.length === 0) return null;
  const confirmed = pairs.confirmed ?? [];
  const best = [...confirmed].sort((a, b) => figureNumber(b.restoration) - figureNumber(a.restoration));
  const ranks =
    typeof pairs.rank_correlation === 'number'
      ? short(pairs.rank_correlation)
      : Object.entries(pairs.rank_correlation ?? {})
          .map(([score, value]) => `${SCORES[score as keyof typeof SCORES] ?? score} ${short(value)}`)
          .join(', ');
  return {
    id: `${pair.behaviour}-${pair.placement}-pairs`,
    title: 'Source block × target block, by cheap scores',
    caption:
      'Cheap scores of every source × target block on validation prompts, without generating a token. Rings: pairs confirmed by generation' +
      (best.length > 0
        ? ` (${best.map((c) => `${c.source_block}→${c.target_block}: ${percent(figureNumber(c.restoration))} restored`).join('; ')})`
        : '') +
      `.${ranks ? ` Rank correlation with transfer within a fixed target block: ${ranks}.` : ''} A good fit is not yet a good transfer.`,
    rows: pairs.source_blocks.flatMap((source_block, i) =>
      pairs.target_blocks.map((target_block, j): DataRow => {
        const found = confirmed.find(
          (c) => c.source_block === source_block && c.target_block === target_block,
        );
        return {
          source_block,
          target_block,
          ...Object.fromEntries(scores.map((score) => [score, pairs[score]?.[i]?.[j] ?? null])),
          confirmed_restoration: found ? figureNumber(found.restoration) : null,
        };
      }),
    ),
    layout: (width) => {
      const perRow = width < NARROW ? 1 : Math.min(2, scores.length);
      const w = Math.floor((width - 12 * (perRow - 1)) / perRow);
      const columns = scores.map((score) =>
        matrixPanels({
          title: SCORES[score],
          width: w,
          xLabel: `${clip(pair.target, 24)} block`,
          yLabel: 'source block',
          columns: pairs.target_blocks.map(String),
          rows: pairs.source_blocks.map(String),
          values: pairs[score] ?? [],
          rings: confirmed.map((c) => ({ row: String(c.source_block), column: String(c.target_block) })),
        }),
      );
      return { legend: [], rows: chunk(columns, perRow).flatMap(transpose) };
    },
  };
}

function transpose<T>(columns: readonly (readonly T[])[]): T[][] {
  return (columns[0] ?? []).map((_, i) =>
    columns.flatMap((column) => (column[i] === undefined ? [] : [column[i]])),
  );
}

/** Labels made distinct (an axis would merge equal ones), and short enough for a phone. */
function unique(labels: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return labels.map((label) => {
    const cut = clip(label.replaceAll('\n', '⏎'), 14);
    const count = (seen.get(cut) ?? 0) + 1;
    seen.set(cut, count);
    return count === 1 ? cut : `${cut} ·${count}`;
  });
}
