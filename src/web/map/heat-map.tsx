/** @file The heat map of block pairs as a table one can walk. */
import { type KeyboardEvent, type ReactNode, useRef } from 'react';
import type { BehaviourResults, BlockPairs } from '../../contracts/index.ts';
import { number } from '../parts.tsx';
import { Name } from '../text.tsx';
import { type Cell, SCORES, type Score } from './cells.ts';

/** The page's own table: a cell is a button, arrow keys walk. */
export function HeatMap(props: {
  readonly behaviour: BehaviourResults;
  readonly pairs: BlockPairs;
  readonly score: Score;
  readonly cell: Cell;
  readonly onChoose: (cell: Cell) => void;
}): ReactNode {
  const { behaviour, pairs, score, cell, onChoose } = props;
  const table = useRef<HTMLTableElement>(null);
  const matrix = pairs[score] ?? [];
  const values = matrix.flat().filter((v) => v !== null);
  const [lo, hi] = [Math.min(0, ...values), Math.max(...values, 1e-9)];
  const { source_block, target_block } = behaviour.pair;
  const move: Readonly<Record<string, Cell>> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = move[event.key];
    if (!step) return;
    event.preventDefault();
    const limit = (n: number, length: number) => Math.min(length - 1, Math.max(0, n));
    const next = [
      limit(cell[0] + step[0], pairs.source_blocks.length),
      limit(cell[1] + step[1], pairs.target_blocks.length),
    ] as const;
    onChoose(next);
    table.current?.querySelector<HTMLButtonElement>(`[data-cell="${next.join('-')}"]`)?.focus();
  };
  return (
    <section className="scroll" aria-label="Heat map">
      <table ref={table} className="heat" onKeyDown={onKeyDown}>
        <caption className="hidden">
          {SCORES[score]} of every source block (rows) and target block (columns)
        </caption>
        <thead>
          <tr>
            <td />
            <th scope="colgroup" colSpan={pairs.target_blocks.length}>
              block of <Name>{behaviour.pair.target}</Name>
            </th>
          </tr>
          <tr>
            <th scope="col">
              <span className="hidden">source block, then target blocks</span>
            </th>
            {pairs.target_blocks.map((target) => (
              <th key={target} scope="col">
                {target}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {pairs.source_blocks.map((source, i) => (
            <tr key={source}>
              <th scope="row">{source}</th>
              {pairs.target_blocks.map((target, j) => {
                const value = matrix[i]?.[j] ?? null;
                const share = value === null ? 0 : (value - lo) / (hi - lo || 1);
                const confirmed = pairs.confirmed?.find(
                  (c) => c.source_block === source && c.target_block === target,
                );
                const used = source === source_block && target === target_block;
                const words = `${source} to ${target}: ${value === null ? 'not measured' : number(value)}${confirmed ? ', confirmed' : ''}${used ? ', used by this run' : ''}`;
                const isChosen = i === cell[0] && j === cell[1];
                return (
                  <td key={target}>
                    <button
                      type="button"
                      data-cell={`${i}-${j}`}
                      aria-label={words}
                      aria-pressed={isChosen}
                      tabIndex={isChosen ? 0 : -1}
                      className={share > 0.55 ? 'cell strong' : 'cell'}
                      style={{
                        background: `color-mix(in oklab, var(--heat) ${Math.round(share * 100)}%, var(--heat-0))`,
                      }}
                      onClick={() => onChoose([i, j])}
                    >
                      {value === null ? '–' : number(Math.round(value * 100) / 100)}
                      <span className="spot" aria-hidden="true">
                        {confirmed ? '●' : ''}
                        {used ? '◆' : ''}
                      </span>
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="scale soft">
        {number(lo)}
        <span className="ramp" aria-hidden="true" />
        {number(hi)}
      </p>
    </section>
  );
}
