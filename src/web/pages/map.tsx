/** @file Map: which pair of blocks to map, as a heat map one can walk; a cell opens the curves through it. */
import { lazy, type ReactNode, Suspense } from 'react';
import type { BehaviourResults } from '../../contracts/index.ts';
import { BehaviourTabs } from '../behaviour-tabs.tsx';
import { api, ofRun, useAsk } from '../client.ts';
import { CellDetail } from '../map/cell-detail.tsx';
import { best, isUsed, parseCell, SCORES, type Score, used } from '../map/cells.ts';
import { HeatMap } from '../map/heat-map.tsx';
import { Choice, Problem } from '../parts.tsx';
import { pathTo, useQuery } from '../router.ts';
import { Name } from '../text.tsx';

const CurvesOf = lazy(() => import('../figures-of.tsx').then((m) => ({ default: m.CurvesOf })));

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
      <BehaviourTabs
        behaviours={behaviours}
        chosen={at}
        onChoose={(i) => set({ behaviour: String(i), cell: undefined })}
      />
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

function MapCurves({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  return (
    <Suspense fallback={<p className="soft">Loading curves…</p>}>
      <CurvesOf behaviour={behaviour} />
    </Suspense>
  );
}
