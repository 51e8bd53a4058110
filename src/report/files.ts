/** @file The run's figures as files: `figures/*.svg`, each readable by itself in light and dark. */
import type { Results, Sample } from '../contracts/index.ts';
import { behaviourFigures, renderFigure, slug, standaloneSvg } from '../figures/index.ts';
import { nodeDocument } from './document.ts';

/** File name → content: `<id>.svg` and `<id>.csv` of every figure the results allow. */
export function figureFiles(results: Results, samples: readonly Sample[] = []): Map<string, string> {
  const document = nodeDocument();
  const files = new Map<string, string>();
  for (const behaviour of results.behaviours) {
    const mine = samples.filter((sample) => sample.behaviour === behaviour.pair.behaviour);
    for (const spec of Object.values(behaviourFigures(behaviour, mine)).flat()) {
      const drawn = renderFigure(spec, { document, width: 720 });
      files.set(`${slug(spec.id)}.svg`, `${standaloneSvg(drawn)}\n`);
      files.set(`${slug(spec.id)}.csv`, drawn.data.csv);
    }
  }
  return files;
}
