/** @file All figures that results allow, in the order of the story. Loaded when a page shows them: the drawing library is large. */
import { type ReactNode, useMemo } from 'react';
import type { BehaviourResults } from '../contracts/index.ts';
import { behaviourFigures, curvesFigure } from '../figures/index.ts';
import Figure from './figure.tsx';

/** Every figure of one behaviour. */
export default function FiguresOf({ behaviour }: { readonly behaviour: BehaviourResults }): ReactNode {
  const figures = useMemo(() => Object.values(behaviourFigures(behaviour)).flat(), [behaviour]);
  if (figures.length === 0) return <p className="empty">No stage that draws a figure was run.</p>;
  return figures.map((spec) => <Figure key={spec.id} spec={spec} />);
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
