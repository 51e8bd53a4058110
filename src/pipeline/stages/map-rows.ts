/** @file Stage `map-rows`: one model reads the texts of maps once, for all fits that want them; its activations are kept. Stage `maps` fits on them. */
import { z } from 'zod';
import type { TokenizerPair } from '../../activations/index.ts';
import { Rng } from '../../base/index.ts';
import { behaviourParams, captureSettings, type MapSettings, spanSettings } from '../../contracts/index.ts';
import {
  captureSide,
  EMBEDDING,
  type MapTexts,
  mapEnd,
  mapTexts,
  ROW_SIDES,
  type RowSide,
  textsOf,
  wantedSets,
} from '../../evaluate/index.ts';
import { inspectModelFiles } from '../../models/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, optional, type StageInput, sourceFile, subjectModel } from '../stage.ts';
import { type DataOutput, dataStage, readGeneral, readRows } from './data.ts';
import { sweepStage } from './sweep.ts';

/** What decides which texts there are, and where they are read. */
export const mapTextParams = z.strictObject({
  behaviour: behaviourParams,
  ...spanSettings.shape,
  source_block: z.int().optional(),
  target_block: z.int().optional(),
  ...captureSettings.shape,
});
/** What that hangs on. */
export const mapTextInputs = {
  source: subjectModel,
  target: subjectModel,
  /** The source before its fine-tune. */
  clean: optional(sourceFile),
  data: dataStage,
  sweepSource: sweepStage,
  sweepTarget: sweepStage,
};
type MapTextParams = z.output<typeof mapTextParams>;

/** Who reads. The source reads for its embeddings too. */
export const ROW_READERS = ['source', 'clean', 'target'] as const;
export type RowsReader = (typeof ROW_READERS)[number];

const rowsParams = z.strictObject({
  ...mapTextParams.shape,
  reader: z.enum(ROW_READERS),
  sets: z.array(
    z.strictObject({
      side: z.enum(ROW_SIDES),
      kind: z.enum(['tagged', 'shuffled', 'general']),
      part: z.enum(['train', 'validation']),
    }),
  ),
});

/** The sides whose activations lie in the stage's folder. */
export interface MapRowsOutput {
  readonly sides: readonly RowSide[];
}

export const mapRowsStage = defineStage({
  name: 'map-rows',
  version: '1',
  module: import.meta.url,
  child: true,
  params: rowsParams,
  inputs: mapTextInputs,
  estimate: (p, info) => {
    const role = { source: 'source', target: 'target', clean: 'source' }[p.reader];
    const kinds = new Set(p.sets.filter(({ side }) => side !== 'embedding').map(({ kind }) => kind));
    return {
      tokens: kinds.size * p.prompts * promptTokens(info),
      memory_bytes: runningBytes(info.models.filter((m) => m.role === role).slice(0, 1)),
    };
  },
  async run({ params: p, inputs, folder, seed, model, ...env }): Promise<MapRowsOutput> {
    const own = await model(p.reader);
    const tokenizerOf = async (side: 'source' | 'target') =>
      side === p.reader ? own.tokenizer : (await inspectModelFiles(inputs[side].model as string)).tokenizer;
    const tokenizers = { source: await tokenizerOf('source'), target: await tokenizerOf('target') };
    const texts = await readMapTexts(inputs.data, p, tokenizers, seed);
    const blocks = {
      source: p.source_block ?? inputs.sweepSource.output.chosen,
      target: p.target_block ?? inputs.sweepTarget.output.chosen,
    };
    for (const { side, ...set } of p.sets) {
      const block = { ...blocks, clean: blocks.source, embedding: EMBEDDING }[side];
      const read = textsOf(set, texts, tokenizers, mapsRng(seed));
      if (read.length === 0) continue;
      const from = { model: own, end: await mapEnd(own, block) };
      await captureSide(folder, { side, set, texts: read, from }, p, env);
    }
    return { sides: [...new Set(p.sets.map(({ side }) => side))] };
  },
});

/** The stream of all stages of the maps. */
export function mapsRng(seed: number): Rng {
  return new Rng(seed).fork('maps');
}

/** The texts of the maps, the same in every stage. */
export async function readMapTexts(
  { folder }: StageInput<DataOutput>,
  p: MapTextParams,
  tokenizers: TokenizerPair,
  seed: number,
): Promise<MapTexts> {
  const rows = (await readRows(folder)).slice(0, p.prompts);
  const given = { behaviour: p.behaviour, rows, general: await readGeneral(folder) };
  return mapTexts(given, p, tokenizers, mapsRng(seed));
}

/** What a reader reads for the fits of some maps. */
export function setsOf(
  reader: RowsReader,
  maps: readonly MapSettings[],
): z.output<typeof rowsParams>['sets'] {
  const sides: readonly RowSide[] = reader === 'source' ? ['source', 'embedding'] : [reader];
  return sides.flatMap((side) => wantedSets(side, maps).map((set) => ({ side, ...set })));
}

/** Where each side's activations lie, of the stages that read them. */
export function capturedIn(rows: readonly StageInput<MapRowsOutput>[]): Partial<Record<RowSide, string>> {
  return Object.fromEntries(rows.flatMap(({ folder, output }) => output.sides.map((side) => [side, folder])));
}
