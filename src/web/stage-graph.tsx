/** @file The stages as boxes and lines; each box fills up as its stage goes on, and is a button. */
import { type ReactNode, useEffect, useMemo, useRef } from 'react';
import { clip } from '../figures/index.ts';
import { layout } from './graph.ts';
import type { StageView } from './progress.ts';

const BOX = { width: 176, height: 46, gapX: 44, gapY: 14, pad: 6 };
/** Characters that fit a box. */
const FITS = 25;

export function StageGraph(props: {
  readonly views: readonly StageView[];
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}): ReactNode {
  const { views, chosen, onChoose } = props;
  const scroller = useRef<HTMLElement>(null);
  const shape = JSON.stringify(views.map((view) => [view.id, view.needs]));
  // The layout hangs on ids and needs alone; filling up must not move a box.
  const placed = useMemo(
    () => layout((JSON.parse(shape) as [string, string[]][]).map(([id, needs]) => ({ id, needs }))),
    [shape],
  );
  const spot = new Map(
    placed.placed.map(({ node, column, row }) => [
      node.id,
      { x: BOX.pad + column * (BOX.width + BOX.gapX), y: BOX.pad + row * (BOX.height + BOX.gapY) },
    ]),
  );
  const width = 2 * BOX.pad + placed.columns * (BOX.width + BOX.gapX) - BOX.gapX;
  const height = 2 * BOX.pad + placed.rows * (BOX.height + BOX.gapY) - BOX.gapY;
  const running = views.find((view) => view.status === 'running')?.id;
  const runningX = running === undefined ? undefined : spot.get(running)?.x;
  useEffect(() => {
    const element = scroller.current;
    if (element && runningX !== undefined)
      element.scrollTo({ left: runningX - element.clientWidth / 2 + BOX.width / 2 });
  }, [runningX]);
  if (views.length === 0) return <p className="empty">The manifest names no stages.</p>;
  return (
    <section ref={scroller} className="graph" aria-label="Stages and what they wait for">
      <div style={{ width, height }} className="canvas">
        <svg width={width} height={height} aria-hidden="true">
          {views.flatMap((view) =>
            view.needs.map((need) => {
              const [from, to] = [spot.get(need), spot.get(view.id)];
              if (!from || !to) return null;
              const [x0, y0, x1, y1] = [
                from.x + BOX.width,
                from.y + BOX.height / 2,
                to.x,
                to.y + BOX.height / 2,
              ];
              const bend = Math.max(20, (x1 - x0) / 2);
              const near = chosen === undefined || chosen === view.id || chosen === need;
              return (
                <path
                  key={`${need} ${view.id}`}
                  d={`M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`}
                  className={near ? 'edge' : 'edge far'}
                />
              );
            }),
          )}
        </svg>
        {views.map((view) => {
          const at = spot.get(view.id);
          const percent = view.share === undefined ? '' : `, ${Math.round(view.share * 100)} %`;
          const shown = tail(view.id);
          return (
            <button
              key={view.id}
              type="button"
              className={`stage ${view.status}`}
              style={{ left: at?.x, top: at?.y, width: BOX.width, height: BOX.height }}
              aria-pressed={view.id === chosen}
              title={`${view.id}\n${view.text}`}
              onClick={() => onChoose(view.id === chosen ? '' : view.id)}
            >
              <span className="fill" style={{ width: `${(view.share ?? 0) * 100}%` }} />
              <span className="id">
                {shown}
                <span className="hidden">
                  {shown === view.id ? '' : ` ${view.id}`} {view.status}
                  {percent},
                </span>
              </span>
              <span className="count">{view.text}</span>
            </button>
          );
        })}
      </div>
    </section>
  );
}

/** The end of an id says most. */
function tail(id: string): string {
  const characters = Array.from(id);
  return characters.length <= FITS ? id : `…${clip(characters.slice(-(FITS - 1)).join(''), FITS)}`;
}
