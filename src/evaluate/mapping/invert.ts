/** @file The inverses B→A on the rows of a {@link MapWork}, and their figures. */
import type { InverseEntry, MapEntry, MapFigures, MapFit } from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import {
  type InverseMethod,
  inverseFigures,
  inverseMaps,
  sourceTokenMean,
  swapTexts,
} from '../maps/inverse.ts';
import { figureGroups, type SplitFigures } from './fit.ts';
import type { MapWork } from './work.ts';

/** An inverse with its figures on the test texts; none where the tokenizers differ (texts must be paired the other way round). */
export interface InverseMap {
  readonly map: ActivationMap;
  readonly figures: SplitFigures;
}

/** Fit and measure. `of` is the map to invert; without it the unregularised affine one of the same rows. */
export async function invertMaps(
  work: MapWork,
  methods: readonly InverseMethod[],
  options: { readonly fit: MapFit; readonly rtol: number; readonly of?: ActivationMap },
): Promise<Partial<Record<InverseMethod, InverseMap>>> {
  if (methods.length === 0) return {};
  const { fit, rtol, of } = options;
  const { reading, env, texts, pair } = work;
  const data = await work.data(fit);
  const made = await inverseMaps(methods, data, work.context(fit, 'inverse'), {
    rtol,
    of,
  });
  const figures: Record<string, Record<string, MapFigures>> = {};
  const groups = Object.entries(figureGroups(texts).test ?? {});
  if (groups.length > 0 && groups.every(([, group]) => group.every((t) => t.alignment === undefined))) {
    const tokenMean = await sourceTokenMean(data, work.context(fit, 'inverse lookup'));
    for (const [safety, group] of groups)
      figures[safety] = await inverseFigures({
        source: work.sourceOf(fit).decoder,
        target: pair.target.decoder,
        texts: swapTexts(group),
        maps: made,
        tokenMean,
        forced: reading.forced,
        rng: env.rng.fork(`inverse figures ${safety}`),
        resamples: reading.bootstrap,
        batch: reading.batch,
        sinkRatio: reading.sink_ratio,
        signal: env.signal,
      });
  }
  return Object.fromEntries(
    Object.entries(made).map(([method, map]) => {
      const test = Object.fromEntries(Object.entries(figures).map(([safety, all]) => [safety, all[method]]));
      return [method, { map, figures: Object.keys(test).length > 0 ? { test } : {} }];
    }),
  );
}

/** An inverse's entry in `results.json`: as a map's, without settings but the rank of a truncated one. */
export function inverseEntry(entry: MapEntry): InverseEntry {
  const { settings, ...own } = { ...entry };
  delete own.curves;
  return { ...own, rank: typeof settings?.rank === 'number' ? settings.rank : undefined };
}
