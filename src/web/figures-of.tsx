/** @file All figures that results allow, in the order of the story. Loaded when a page shows them: the drawing library is large. */
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import type { BehaviourResults } from '../contracts/index.ts';
import { behaviourFigures, type Chapter, curvesFigure, type FigureSpec } from '../figures/index.ts';
import { api, type ofRun, useAsk } from './client.ts';
import { Examples } from './examples.tsx';
import Figure from './figure.tsx';
import { isPhone, Problem } from './parts.tsx';

/** Heading of each chapter, and how many of its figures stand open. */
const CHAPTERS = {
  sweep: ['Where it can be steered', 9],
  maps: ['The maps', 9],
  fidelity: ['Does the mapped text stay the target’s?', 2],
  transfer: ['Does the map carry the fix?', 2],
  cost: ['What it costs', 9],
  worth: ['Is it worth it?', 9],
  pairs: ['Which pair of blocks?', 9],
} as const satisfies Record<Chapter, readonly [string, number]>;
const ORDER = Object.keys(CHAPTERS) as Chapter[];

/** Every figure of one behaviour, and its example table. `drawn`: which samples are drawn, where there are any. */
export default function FiguresOf(props: {
  readonly behaviour: BehaviourResults;
  readonly drawn: (ReturnType<typeof ofRun> & { readonly query: { behaviour: string } }) | undefined;
  readonly fresh: number;
}): ReactNode {
  const { behaviour, drawn, fresh } = props;
  const { data, error } = useAsk(api.runs[':run'].drawn, drawn, fresh);
  const chapters = useMemo(() => {
    const all = behaviourFigures(behaviour, data?.scores ?? []);
    return ORDER.flatMap((chapter) => (all[chapter].length > 0 ? [{ chapter, specs: all[chapter] }] : []));
  }, [behaviour, data]);
  const examples = data?.examples;
  if (chapters.length === 0) return <p className="empty">No stage that draws a figure is finished.</p>;
  return (
    <>
      <nav className="chapters" aria-label="Figures">
        {chapters.map(({ chapter }) => (
          <a key={chapter} href={`#figures-${chapter}`}>
            {CHAPTERS[chapter][0]}
          </a>
        ))}
        {examples ? <a href="#figures-examples">Examples</a> : null}
      </nav>
      {error ? <Problem>{error}</Problem> : null}
      {chapters.map(({ chapter, specs }) => (
        <ChapterOf key={chapter} id={chapter} title={CHAPTERS[chapter][0]} first={chapter === 'transfer'}>
          {specs.slice(0, CHAPTERS[chapter][1]).map((spec) => (
            <Figure key={spec.id} spec={spec} />
          ))}
          <Others specs={specs.slice(CHAPTERS[chapter][1])} />
        </ChapterOf>
      ))}
      {examples ? (
        <ChapterOf id="examples" title="Examples" first={false}>
          <Examples table={examples} />
        </ChapterOf>
      ) : null}
    </>
  );
}

/** On a phone a run would be twenty screens long: chapters but the first wait until they are opened. */
function ChapterOf(props: {
  readonly id: string;
  readonly title: string;
  /** The chapter a reader came for: open on a phone too. */
  readonly first: boolean;
  readonly children: ReactNode;
}): ReactNode {
  const { id, title, first, children } = props;
  const [open, setOpen] = useState(() => first || !isPhone());
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    // A link to the chapter opens it.
    const onHash = () => {
      if (location.hash !== `#figures-${id}`) return;
      setOpen(true);
      box.current?.scrollIntoView();
    };
    onHash();
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, [id]);
  return (
    <details
      ref={box}
      className="chapter"
      open={open}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <h3 id={`figures-${id}`}>{title}</h3>
      </summary>
      {open ? children : null}
    </details>
  );
}

/** Further figures, drawn when they are asked for. */
function Others({ specs }: { readonly specs: readonly FigureSpec[] }): ReactNode {
  const [open, setOpen] = useState(false);
  if (specs.length === 0) return null;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{specs.length} more: other maps, fits, modes and judges</summary>
      {open ? specs.map((spec) => <Figure key={spec.id} spec={spec} />) : null}
    </details>
  );
}

/** Training curves of the maps of one behaviour. */
export function CurvesOf({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  const spec = useMemo(() => curvesFigure(behaviour), [behaviour]);
  return spec ? (
    <Figure spec={spec} />
  ) : (
    <p className="soft">No map of this run was trained by steps, so there are no training curves.</p>
  );
}
