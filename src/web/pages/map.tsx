/** @file Map: which pair of blocks to map, as a heat map one can walk; a cell opens the curves through it. */
import { type KeyboardEvent, lazy, type ReactNode, Suspense, useRef } from 'react';
import type { BehaviourResults, BlockPairs } from '../../contracts/index.ts';
import { api, ofRun, useAsk } from '../client.ts';
import { Choice, distinct, number, Problem, Share } from '../parts.tsx';
import { LineChart } from '../plot.tsx';
import { pathTo, useQuery } from '../router.ts';
import { Name } from '../text.tsx';

const CurvesOf = lazy(() => import('../figures-of.tsx').then((m) => ({ default: m.CurvesOf })));

const SCORES = {
  logit_shift: 'mapped logit shift',
  ridge_r2: 'held-out ridge R²',
  cka: 'linear CKA (debiased)',
} as const;
type Score = keyof typeof SCORES;
const STYLE: Record<Score, { color: string; dash?: string }> = {
  logit_shift: { color: 'var(--cp-mapped)' },
  ridge_r2: { color: 'var(--cp-native)', dash: '7,3' },
  cka: { color: 'var(--cp-positive)', dash: '2,3' },
};

export default function MapPage({ run }: { readonly run: string }): ReactNode {
  const detail = useAsk(api.runs[':run'], ofRun(run));
  const results = useAsk(api.runs[':run'].results, detail.data?.has.results ? ofRun(run) : undefined);
  const { data } = results;
  const error =
    detail.error ?? results.error ?? (detail.data?.has.results === false ? 'no results yet' : undefined);
  const [get, set] = useQuery();
  const behaviours = data?.results.behaviours ?? [];
  const at = Math.max(0, Math.min(Number(get('behaviour') ?? 0) || 0, behaviours.length - 1));
  const behaviour = behaviours[at];
  const keys = distinct(behaviours.map(({ pair }) => pair.behaviour));
  return (
    <>
      <h1>
        Map{' '}
        <span className="soft">
          of <Name>{run}</Name>
        </span>
      </h1>
      {error ? (
        <div className="empty">
          <Problem>{error}</Problem>
          <p>
            This page shows the maps of a run: the blocks they join, and how they were trained. They come with
            results.json; <a href={pathTo({ page: 'run', run })}>see where the run stands</a>.
          </p>
        </div>
      ) : null}
      {!data && !error ? <p className="soft">Loading…</p> : null}
      {behaviours.length > 1 ? (
        <fieldset className="tabs">
          <legend className="hidden">Behaviour</legend>
          {behaviours.map(({ pair }, i) => (
            <button
              key={keys[i]}
              type="button"
              aria-pressed={i === at}
              onClick={() => set({ behaviour: String(i), cell: undefined })}
            >
              <Name>{`${pair.behaviour}, ${pair.placement}`}</Name>
            </button>
          ))}
        </fieldset>
      ) : null}
      {behaviour ? <Pairs key={at} behaviour={behaviour} /> : null}
      {data && !behaviour ? <p className="empty">Nothing was evaluated in this run.</p> : null}
    </>
  );
}

function Pairs({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  const [get, set] = useQuery();
  const { pair, block_pairs: pairs } = behaviour;
  const measured = (Object.keys(SCORES) as Score[]).filter((score) => pairs?.[score]);
  const score = measured.find((name) => name === get('score')) ?? measured[0];
  // Without scores of pairs the heat map has no place on the page.
  if (!pairs || !score)
    return (
      <>
        <p>
          {pair.source_block === undefined || pair.target_block === undefined ? null : (
            <>
              This run mapped <Name>{pair.source}</Name> block {pair.source_block} to{' '}
              <Name>{pair.target}</Name> block {pair.target_block}.{' '}
            </>
          )}
          <span className="soft">
            A heat map of all pairs of blocks is shown here when results.json has <code>block_pairs</code>.
          </span>
        </p>
        <MapCurves behaviour={behaviour} />
      </>
    );
  const cell = parseCell(get('cell'), pairs) ?? used(behaviour, pairs) ?? best(pairs, score);
  return (
    <>
      <p>
        <Name>{pair.source}</Name> (rows) → <Name>{pair.target}</Name> (columns). Scores on validation
        prompts, without generating; ● marks pairs confirmed by generation, ◆ the pair this run used. A good
        fit is not yet a good transfer.
      </p>
      <Choice
        label="Score"
        value={score}
        options={measured.map((name) => [name, SCORES[name]] as const)}
        onChange={(value) => set({ score: value })}
      />
      <div className="map">
        <HeatMap
          behaviour={behaviour}
          pairs={pairs}
          score={score}
          cell={cell}
          onChoose={([i, j]) => set({ cell: `${pairs.source_blocks[i]}-${pairs.target_blocks[j]}` }, true)}
        />
        <CellDetail pairs={pairs} measured={measured} cell={cell} />
      </div>
      <h2>Training curves</h2>
      {isUsed(behaviour, pairs, cell) ? (
        <MapCurves behaviour={behaviour} />
      ) : (
        <p className="soft">
          This run trained its maps at block {pair.source_block ?? '?'} → {pair.target_block ?? '?'} (◆);
          choose that cell for their curves.
        </p>
      )}
    </>
  );
}

type Cell = readonly [i: number, j: number];

function parseCell(text: string | undefined, pairs: BlockPairs): Cell | undefined {
  const [source, target] = (text ?? '').split('-').map(Number);
  const cell: Cell = [pairs.source_blocks.indexOf(source ?? -1), pairs.target_blocks.indexOf(target ?? -1)];
  return cell[0] < 0 || cell[1] < 0 ? undefined : cell;
}

/** The pair this run used, where it is among those compared. */
function used({ pair }: BehaviourResults, pairs: BlockPairs): Cell | undefined {
  return parseCell(`${pair.source_block}-${pair.target_block}`, pairs);
}

function isUsed({ pair }: BehaviourResults, pairs: BlockPairs, [i, j]: Cell): boolean {
  return pairs.source_blocks[i] === pair.source_block && pairs.target_blocks[j] === pair.target_block;
}

function best(pairs: BlockPairs, score: Score): Cell {
  const matrix = pairs[score] ?? [];
  const cells = matrix.flatMap((row, i) =>
    row.map((value, j) => ({ cell: [i, j] as const, value: value ?? Number.NEGATIVE_INFINITY })),
  );
  return cells.sort((a, b) => b.value - a.value)[0]?.cell ?? [0, 0];
}

/** The page's own table: a cell is a button, arrow keys walk. */
function HeatMap(props: {
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

function CellDetail(props: {
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

function MapCurves({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  return (
    <Suspense fallback={<p className="soft">Loading curves…</p>}>
      <CurvesOf behaviour={behaviour} />
    </Suspense>
  );
}
