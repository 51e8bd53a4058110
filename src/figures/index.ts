/** @file Records → pictures. Every figure is a pure spec; `drawFigure` draws it in any DOM (the browser's, or one made on Node). */
import type { BehaviourResults } from '../contracts/index.ts';
import { capabilitiesFigure, costKlFigure } from './cost.ts';
import { fidelityFigures, fidelityMapsFigure, inverseFidelityFigure, type ScoredSample } from './fidelity.ts';
import { pairsFigure, positionFigure } from './heatmaps.ts';
import { curvesFigure } from './maps.ts';
import type { FigureSpec } from './spec.ts';
import { sweepFigure } from './sweep.ts';
import { otherTransferFigures, transferFigure, transferMapsFigure } from './transfer.ts';
import { worthFigure } from './worth.ts';

/** Where a figure belongs in the story of docs/concepts/method.md. */
export type Chapter = 'sweep' | 'maps' | 'pairs' | 'fidelity' | 'transfer' | 'cost' | 'worth';

/** All figures a behaviour's results allow, by chapter; chapters without figures are empty lists. */
export function behaviourFigures(
  behaviour: BehaviourResults,
  samples: readonly ScoredSample[] = [],
): Record<Chapter, FigureSpec[]> {
  const some = (...figures: (FigureSpec | null)[]) => figures.filter((f): f is FigureSpec => f !== null);
  return {
    sweep: some(sweepFigure(behaviour), positionFigure(behaviour)),
    maps: some(curvesFigure(behaviour), curvesFigure(behaviour, 'fit_seconds')),
    pairs: some(pairsFigure(behaviour)),
    fidelity: some(
      fidelityMapsFigure(behaviour),
      ...fidelityFigures(behaviour, samples),
      inverseFidelityFigure(behaviour),
    ),
    transfer: some(
      transferFigure(behaviour),
      transferMapsFigure(behaviour),
      ...otherTransferFigures(behaviour),
    ),
    cost: some(capabilitiesFigure(behaviour), costKlFigure(behaviour)),
    worth: some(worthFigure(behaviour)),
  };
}

export { headline, type TransferCase, transferCases } from './cases.ts';

export { drawFigure, paletteCss, renderFigure, slug, standaloneSvg } from './draw.ts';
export {
  type ExampleCard,
  type ExampleState,
  type ExampleTable,
  exampleGroups,
  exampleTable,
} from './examples.ts';

export { curvesFigure } from './maps.ts';
export { OVERLAY_MEASURES, type OverlaidRun, overlayFigure } from './overlay.ts';
export { FIT_LABEL, PALETTE, TRANSFER_STYLE } from './palette.ts';
export { clip, metricLabel, percent, short, toCsv, toJson, visible } from './records.ts';
export type { DataRow, FigureSpec } from './spec.ts';
export { TERM_WORDS, termOf } from './terms.ts';
