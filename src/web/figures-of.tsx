/** @file All figures that results allow, by chapter of the story. Loaded when a page shows them: the drawing library is large. */
import { type ReactNode, useMemo } from 'react';
import type { BehaviourResults } from '../contracts/index.ts';
import { behaviourFigures, type Chapter, curvesFigure } from '../figures/index.ts';
import Figure from './figure.tsx';
import { Name } from './text.tsx';

const TITLES = {
  sweep: 'Where the behaviour can be steered',
  maps: 'The maps',
  pairs: 'Which pair of blocks',
  fidelity: 'Does the map carry behaviour?',
  transfer: 'Carrying the fix across',
  cost: 'What it costs',
  worth: 'Is it worth it?',
} as const satisfies Record<Chapter, string>;

/** Every figure of one behaviour. */
export default function FiguresOf({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  const chapters = useMemo(() => Object.entries(behaviourFigures(behaviour)), [behaviour]);
  const shown = chapters.filter(([, figures]) => figures.length > 0);
  if (shown.length === 0) return <p className="empty">No stage that draws a figure was run.</p>;
  return shown.map(([chapter, figures]) => (
    <section key={chapter}>
      <h3 className="chapter">
        {TITLES[chapter as Chapter]}{' '}
        <span className="soft">
          · <Name>{behaviour.pair.behaviour}</Name>
        </span>
      </h3>
      {figures.map((spec) => (
        <Figure key={spec.id} spec={spec} />
      ))}
    </section>
  ));
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
