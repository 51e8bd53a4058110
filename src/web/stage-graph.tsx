/** @file The stages as boxes and lines; each box fills up as its stage goes on, and is a button. */
import {
  type CSSProperties,
  type ReactNode,
  type RefObject,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { clip, visible } from '../figures/index.ts';
import { layout, nearNeeds } from './graph.ts';
import type { StageView } from './progress.ts';

const BOX = { widest: 176, narrowest: 134, height: 46, group: 14, gapX: 20, gapY: 14, pad: 6 };
/** Advance of a character of a box's name, px. */
const CHARACTER = 7.2;
/** Narrower than this, the stages are a list: the picture would show two columns of eight. */
const NARROW = 640;

export function StageGraph(props: {
  readonly views: readonly StageView[];
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}): ReactNode {
  const { views, chosen, onChoose } = props;
  const scroller = useRef<HTMLElement>(null);
  const shape = JSON.stringify(views.map((view) => [view.id, view.needs]));
  // The layout hangs on ids and needs alone; filling up must not move a box.
  const { placed, near, groups } = useMemo(() => {
    const nodes = (JSON.parse(shape) as [string, string[]][]).map(([id, needs]) => ({ id, needs }));
    return { placed: layout(nodes), near: nearNeeds(nodes), groups: groupsOf(nodes.map(({ id }) => id)) };
  }, [shape]);
  const boxHeight = BOX.height + (groups > 1 ? BOX.group : 0);
  const room = useWidth(scroller);
  const boxWidth = Math.max(
    BOX.narrowest,
    Math.min(
      BOX.widest,
      Math.floor((room - 2 * BOX.pad - 2 + BOX.gapX) / Math.max(1, placed.columns)) - BOX.gapX,
    ),
  );
  const spot = new Map(
    placed.placed.map(({ node, column, row }) => [
      node.id,
      { x: BOX.pad + column * (boxWidth + BOX.gapX), y: BOX.pad + row * (boxHeight + BOX.gapY) },
    ]),
  );
  const width = 2 * BOX.pad + placed.columns * (boxWidth + BOX.gapX) - BOX.gapX;
  const height = 2 * BOX.pad + placed.rows * (boxHeight + BOX.gapY) - BOX.gapY;
  const running = views.find((view) => view.status === 'running')?.id;
  const runningX = running === undefined ? undefined : spot.get(running)?.x;
  useEffect(() => {
    const element = scroller.current;
    if (element && runningX !== undefined)
      element.scrollTo({ left: runningX - element.clientWidth / 2 + boxWidth / 2 });
  }, [runningX, boxWidth]);
  if (views.length === 0) return <p className="empty">The manifest names no stages.</p>;
  if (room > 0 && room < NARROW)
    return (
      <section ref={scroller} className="graph list" aria-label="Stages in order">
        {views.map((view) => (
          <Stage key={view.id} view={view} name={view.id} chosen={chosen} onChoose={onChoose} />
        ))}
      </section>
    );
  return (
    <section ref={scroller} className="graph" aria-label="Stages and what they wait for">
      <div style={{ width, height }} className="canvas">
        <svg width={width} height={height} aria-hidden="true">
          {views.flatMap((view) =>
            (near.get(view.id) ?? []).map((need) => {
              const [from, to] = [spot.get(need), spot.get(view.id)];
              if (!from || !to) return null;
              const [x0, y0, x1, y1] = [
                from.x + boxWidth,
                from.y + boxHeight / 2,
                to.x,
                to.y + boxHeight / 2,
              ];
              const bend = Math.max(20, (x1 - x0) / 2);
              const isNear = chosen === undefined || chosen === view.id || chosen === need;
              return (
                <path
                  key={`${need} ${view.id}`}
                  d={`M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`}
                  className={isNear ? 'edge' : 'edge far'}
                />
              );
            }),
          )}
        </svg>
        {views.map((view) => {
          const at = spot.get(view.id);
          const group = groups === 0 ? undefined : groupOf(view.id);
          const name = group === undefined ? view.id : view.id.slice(group.length + 1);
          return (
            <Stage
              key={view.id}
              view={view}
              name={tail(name, Math.floor((boxWidth - 18) / CHARACTER))}
              group={groups > 1 ? (group ?? '\u00a0') : undefined}
              style={{ left: at?.x, top: at?.y, width: boxWidth, height: boxHeight }}
              chosen={chosen}
              onChoose={onChoose}
            />
          );
        })}
      </div>
    </section>
  );
}

/** A stage as a button that fills up; `name` is what of its id there is room for. */
function Stage(props: {
  readonly view: StageView;
  readonly name: string;
  readonly group?: string;
  readonly style?: CSSProperties;
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}): ReactNode {
  const { view, name, group, style, chosen, onChoose } = props;
  const percent = view.share === undefined ? '' : `, ${Math.round(view.share * 100)} %`;
  const count = view.text.split(' · ')[0] as string;
  return (
    <button
      type="button"
      className={`stage ${view.status}`}
      style={style}
      aria-pressed={view.id === chosen}
      title={`${view.id}\n${view.text}`}
      onClick={() => onChoose(view.id === chosen ? '' : view.id)}
    >
      <span className="fill" style={{ width: `${(view.share ?? 0) * 100}%` }} />
      {group === undefined ? null : <span className="group">{group}</span>}
      <span className="id">
        {visible(name)}
        <span className="hidden">
          {name === view.id ? '' : ` ${view.id}`} {view.status}
          {percent},
        </span>
      </span>
      <span className="count">
        {count}
        <span className="hidden">{view.text.slice(count.length)}</span>
      </span>
    </button>
  );
}

/** The end of an id says most. */
function tail(id: string, fits: number): string {
  const characters = Array.from(id);
  return characters.length <= fits ? id : `…${clip(characters.slice(-(fits - 1)).join(''), fits)}`;
}

/** `locked` of `locked.maps`: what the stages of one behaviour have in common. */
function groupOf(id: string): string | undefined {
  const dot = id.indexOf('.');
  return dot > 0 ? id.slice(0, dot) : undefined;
}

/** How many groups there are; 0 when not every stage but one (the last, which gathers) is of one. */
function groupsOf(ids: readonly string[]): number {
  const groups = ids.map(groupOf);
  return groups.filter((group) => group === undefined).length <= 1 && ids.length > 2
    ? new Set(groups.filter((group) => group !== undefined)).size
    : 0;
}

/** Width of an element, as it changes. */
function useWidth(box: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!box.current) return;
    const observer = new ResizeObserver(([entry]) => setWidth(entry?.contentRect.width ?? 0));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [box]);
  return width;
}
