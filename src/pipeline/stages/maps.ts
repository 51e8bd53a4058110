/** @file Stage `maps`: read both models over the same texts, fit every map on every kind of rows, measure each. */

import { join } from 'node:path';
import { z } from 'zod';
import type { PairCounts } from '../../activations/index.ts';
import {
  behaviourParams,
  captureSettings,
  evaluationSettings,
  INVERSE_METHODS,
  inverseSettings,
  type MapEntry,
  type MapFit,
  mapSettingsSchema,
  spanSettings,
} from '../../contracts/index.ts';
import {
  type FittedMap,
  figureGroups,
  fitMaps,
  invertMaps,
  MapWork,
  mapEntry,
  mapTexts,
  measureMaps,
  tokenMeanOf,
} from '../../evaluate/index.ts';
import { saveMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, optional, sourceFile, subjectModel } from '../stage.ts';
import { dataStage, readGeneral, readRows } from './data.ts';
import { sweepStage } from './sweep.ts';

const mapsParams = z.strictObject({
  behaviour: behaviourParams,
  ...spanSettings.shape,
  source_block: z.int().optional(),
  target_block: z.int().optional(),
  maps: z.array(mapSettingsSchema),
  ...captureSettings.shape,
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
  version: '4',
  module: import.meta.url,
  child: true,
  params: mapsParams,
  inputs: {
    source: subjectModel,
    target: subjectModel,
    /** The source before its fine-tune. */
    clean: optional(sourceFile),
    data: dataStage,
    sweepSource: sweepStage,
    sweepTarget: sweepStage,
  },
  estimate: (p, info) => {
    const fits = new Set(p.maps.flatMap((m) => m.fits));
    const shuffled = p.maps.some((m) => m.kind === 'shuffled') ? 1 : 0;
    const texts = p.prompts * (fits.size + shuffled) + p.out_of_domain;
    return {
      tokens: 2 * texts * promptTokens(info),
      memory_bytes: pairBytes(info.models, ['source']),
    };
  },
  async run({ params: p, inputs, folder, model, ...env }): Promise<MapsOutput> {
    const [source, target] = [await model('source'), await model('target')];
    // Read by fits `clean_a` alone, which a recipe without a clean source does not have.
    const clean = inputs.clean === undefined ? source : await model('clean');
    const source_block = p.source_block ?? inputs.sweepSource.output.chosen;
    const target_block = p.target_block ?? inputs.sweepTarget.output.chosen;
    const texts = mapTexts(
      {
        behaviour: p.behaviour,
        rows: (await readRows(inputs.data.folder)).slice(0, p.prompts),
        general: await readGeneral(inputs.data.folder),
      },
      p,
      { source: source.tokenizer, target: target.tokenizer },
      env.rng,
    );
    const pair = { source, target, clean, source_block, target_block };
    await using work = await MapWork.open({ pair, texts, reading: p, env, storage: { scratch: folder } });
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
