/** @file One pair of blocks: its scores, and the curves through it. */
import type { ReactNode } from 'react';
import type { BlockPairs } from '../../contracts/index.ts';
import { number, Share } from '../parts.tsx';
import { LineChart } from '../plot.tsx';
import { type Cell, SCORES, type Score } from './cells.ts';

const STYLE: Record<Score, { color: string; dash?: string }> = {
  logit_shift: { color: 'var(--cp-mapped)' },
  ridge_r2: { color: 'var(--cp-native)', dash: '7,3' },
  cka: { color: 'var(--cp-positive)', dash: '2,3' },
  cka_contrast: { color: 'var(--cp-static)', dash: '12,3' },
};

/** The chosen pair. */
export function CellDetail(props: {
  readonly pairs: BlockPairs;
  readonly measured: readonly Score[];
  readonly cell: Cell;
}): ReactNode {
  const { pairs, measured, cell } = props;
  const [i, j] = cell;
  const [source, target] = [pairs.source_blocks[i], pairs.target_blocks[j]];
  const confirmed = pairs.confirmed?.find((c) => c.source_block === source && c.target_block === target);
  const line = (score: Score, points: readonly { x: number; y: number | null | undefined }[]) => ({
    label: SCORES[score],
    points: points.flatMap(({ x, y }) => (y === null || y === undefined ? [] : [{ x, y }])),
    ...STYLE[score],
  });
  return (
    <section className="card" aria-live="polite" aria-label="The chosen pair">
      <h2>
        Block {source} → block {target}
      </h2>
      <p>
        {measured
          .map((score) => `${SCORES[score]} ${number(pairs[score]?.[i]?.[j] ?? undefined)}`)
          .join(' · ')}
        {' · '}
        {confirmed ? (
          <>
            restores <Share figure={confirmed.restoration} /> by generation
          </>
        ) : (
          'not confirmed by generation'
        )}
      </p>
      <div className="charts">
        <LineChart
          title={`From every source block to target block ${target}`}
          xLabel="source block"
          at={source}
          lines={measured.map((score) =>
            line(
              score,
              pairs.source_blocks.map((x, k) => ({ x, y: pairs[score]?.[k]?.[j] })),
            ),
          )}
        />
        <LineChart
          title={`From source block ${source} to every target block`}
          xLabel="target block"
          at={target}
          lines={measured.map((score) =>
            line(
              score,
              pairs.target_blocks.map((x, k) => ({ x, y: pairs[score]?.[i]?.[k] })),
            ),
          )}
        />
      </div>
    </section>
  );
}
