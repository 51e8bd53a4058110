/** @file Stage `maps`: fit every map on every kind of rows of both models over the same texts, and measure each. */

import { join } from 'node:path';
import { z } from 'zod';
import type { PairCounts } from '../../activations/index.ts';
import {
  evaluationSettings,
  INVERSE_METHODS,
  inverseSettings,
  type MapEntry,
  type MapFit,
  mapSettingsSchema,
} from '../../contracts/index.ts';
import {
  type FittedMap,
  figureGroups,
  fitMaps,
  invertMaps,
  MapWork,
  mapEntry,
  measureMaps,
  type RowSide,
  tokenMeanOf,
  wantedSets,
} from '../../evaluate/index.ts';
import { saveMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage } from '../stage.ts';
import { capturedIn, mapRowsStage, mapsRng, mapTextInputs, mapTextParams, readMapTexts } from './map-rows.ts';

const mapsParams = z.strictObject({
  ...mapTextParams.shape,
  maps: z.array(mapSettingsSchema),
  rtol: inverseSettings.shape.rtol,
  inverses: z.array(z.enum(INVERSE_METHODS)),
  bootstrap: evaluationSettings.shape.bootstrap,
  /** Texts per group that are run teacher-forced for kl_div, top1_agreement and ce_delta. */
  forced: z.int().default(40),
});

/** Fitted maps lie in `maps/{label}.{fit}` of the stage's folder, inverses in `inverse/{method}`. */
export interface MapsOutput {
  readonly source_block: number;
  readonly target_block: number;
  readonly entries: Readonly<Record<string, Readonly<Partial<Record<MapFit, MapEntry>>>>>;
  readonly inverse: Readonly<Record<string, MapEntry>>;
  readonly pairing: Readonly<Record<keyof PairCounts, number>>;
}

export const mapsStage = defineStage({
  name: 'maps',
  version: '5',
  module: import.meta.url,
  child: true,
  params: mapsParams,
  inputs: {
    ...mapTextInputs,
    /** Activations that other stages have read; what is not there is read here. */
    rows: [mapRowsStage],
  },
  estimate: (p, info) => {
    const kinds = (side: RowSide): number => wantedSets(side, p.maps).length / 2;
    // Read here where no stage before has read them; half of the test texts are run once more for every map.
    const read =
      info.params('map-rows') === undefined ? kinds('source') + kinds('clean') + kinds('target') : 0;
    const measured = 2 * p.splits.test * p.prompts + p.out_of_domain;
    const forced = 3 * p.forced * p.maps.reduce((sum, { fits }) => sum + fits.length, 0);
    return {
      tokens: Math.round((read * p.prompts + 2 * measured + forced / 2) * promptTokens(info)),
      memory_bytes: pairBytes(info.models, ['source']),
    };
  },
  async run({ params: p, inputs, folder, seed, model, ...context }): Promise<MapsOutput> {
    const env = { ...context, seed, rng: mapsRng(seed) };
    const [source, target] = [await model('source'), await model('target')];
    // Read by fits `clean_a` alone, which a recipe without a clean source does not have.
    const clean = inputs.clean === undefined ? source : await model('clean');
    const source_block = p.source_block ?? inputs.sweepSource.output.chosen;
    const target_block = p.target_block ?? inputs.sweepTarget.output.chosen;
    const tokenizers = { source: source.tokenizer, target: target.tokenizer };
    const texts = await readMapTexts(inputs.data, p, tokenizers, seed);
    const pair = { source, target, clean, source_block, target_block };
    const storage = { scratch: folder, captured: capturedIn(inputs.rows) };
    await using work = await MapWork.open({ pair, texts, reading: p, env, storage });
    const fitted = await fitMaps(work, p.maps);
    const tokenMean = await tokenMeanOf(work, fitted);

    const entries: Record<string, Partial<Record<MapFit, MapEntry>>> = {};
    const readBy = (...fits: readonly MapFit[]) => fitted.filter(({ fit }) => fits.includes(fit));
    const figures = {
      ...(await measured(source, readBy('with_tags', 'no_tag_rows', 'general'))),
      ...(await measured(clean, readBy('clean_a'))),
      ...(await measured(source, readBy('embedding_a'))),
    };
    /** Maps that read one block of one model. */
    async function measured(from: LanguageModel, own: readonly FittedMap[]) {
      if (own.length === 0) return {};
      const maps = Object.fromEntries(own.map((f) => [`${f.label}.${f.fit}`, f.map]));
      const groups = figureGroups(texts);
      return measureMaps({ source: from, target, groups, maps, tokenMean, reading: p, env });
    }
    for (const { label, fit, map } of fitted) {
      await saveMap(map, join(folder, 'maps', `${label}.${fit}`));
      (entries[label] ??= {})[fit] = mapEntry(map, figures[`${label}.${fit}`]);
    }

    const inverse: Record<string, MapEntry> = {};
    const inverses = await invertMaps(work, p.inverses, { fit: 'with_tags', rtol: p.rtol });
    for (const [method, made] of Object.entries(inverses)) {
      await saveMap(made.map, join(folder, 'inverse', method));
      inverse[method] = mapEntry(made.map, made.figures);
    }
    return { source_block, target_block, entries, inverse, pairing: { ...work.counts } };
  },
});
