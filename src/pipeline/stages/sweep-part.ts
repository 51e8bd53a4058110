/** @file Stage `sweep-part`: steer one model at some of its blocks. What is made of the runs is the business of `sweep`. */
import { join } from 'node:path';
import { z } from 'zod';
import { Rng } from '../../base/index.ts';
import { evaluationSettings, sweepSettings } from '../../contracts/index.ts';
import {
  type OpenDetector,
  type Subject,
  type SweepInput,
  type SweptBlocks,
  type SweptRun,
  sweepBlocks,
} from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, type PlanInfo, type StageInput, subjectModel } from '../stage.ts';
import { readCaseRows, writeCaseRows } from './case-rows.ts';
import { type DataOutput, dataStage } from './data.ts';
import { askingParams, detectorInput, detectorOf, type RunsOutput, runsStage, subjectOf } from './runs.ts';

const RUNS = 'runs.jsonl';

export const sweepParams = z.strictObject({
  ...askingParams.shape,
  ...evaluationSettings.omit({ batch: true }).shape,
  ...sweepSettings.shape,
  side: z.enum(['source', 'target']),
  /** Prompts of the heat map; 0 leaves it out. */
  heatmap: z.int(),
  /** The recipe's block, where it names one. */
  block: z.int().optional(),
});

export type SweepStageParams = z.output<typeof sweepParams>;

/** What is swept. */
export const sweptInputs = { model: subjectModel, data: dataStage, runs: runsStage, ...detectorInput };

/** The stream of all stages of a sweep. */
export function sweepRng(seed: number): Rng {
  return new Rng(seed).fork('sweep').fork('sweep');
}

/** Blocks of one part, at most: a part is computed in one piece, on one machine, and is what is lost when it is stopped. */
const PART_BLOCKS = 8;

/** `blocks` in even parts, one after the other; the recipe and the model alone decide, so that every machine rounds alike. */
export function sweepParts(blocks: readonly number[]): number[][] {
  const of = Math.ceil(blocks.length / PART_BLOCKS);
  const cut = (i: number): number => Math.floor((i * blocks.length) / of);
  return Array.from({ length: of }, (_, i) => blocks.slice(cut(i), cut(i + 1)));
}

/** The model, and the validation prompts it is steered on; all of them for the heat map. */
export async function sweptOf(
  model: LanguageModel,
  p: SweepStageParams,
  inputs: { readonly data: StageInput<DataOutput>; readonly runs: StageInput<RunsOutput> },
  detector: OpenDetector,
): Promise<SweepInput & { readonly all: Subject }> {
  const all = await subjectOf(model.tokenizer, p, { ...inputs, split: 'validation', detector });
  const subject = { ...all, cases: all.cases.slice(0, p.prompts) };
  return { model, subject, behaviour: p.behaviour.name, side: p.side, all };
}

/** Tokens of steering at n blocks: steered and its controls in both directions; a pass begins at the patched block, half of them on average. */
export function sweepTokens({ controls, draws, ...p }: SweepStageParams, n: number, info: PlanInfo): number {
  const noise = controls.filter((c) => c.startsWith('random')).length;
  const passes = 2 * n * (1 + controls.length + noise * (draws - 1));
  return Math.round((p.prompts * passes * (promptTokens(info) + p.max_tokens)) / 2);
}

export type SweepPartOutput = Omit<SweptBlocks, 'runs'>;

export const sweepPartStage = defineStage({
  name: 'sweep-part',
  version: '1',
  module: import.meta.url,
  child: true,
  params: sweepParams.extend({ part: z.array(z.int().min(0)).min(1) }),
  inputs: sweptInputs,
  estimate: ({ part, ...p }, info) => ({
    tokens: sweepTokens(p, part.length, info),
    memory_bytes: runningBytes(info.models.slice(0, 1)),
  }),
  async run({ params: { part, ...p }, inputs, folder, seed, model, ...env }): Promise<SweepPartOutput> {
    await using detector = await detectorOf(p, { inputs, ...env });
    const swept = await sweptOf(await model('model'), p, inputs, detector);
    const { runs, ...drafts } = await sweepBlocks(swept, p, part, {
      ...env,
      rng: sweepRng(seed),
    });
    await writeCaseRows(join(folder, RUNS), runs, swept.subject.cases);
    return drafts;
  },
});

/** Finished parts as one. */
export async function readSweepParts(
  parts: readonly StageInput<SweepPartOutput>[],
  { cases }: Pick<Subject, 'cases'>,
): Promise<SweptBlocks> {
  const runs: SweptRun[] = [];
  for (const { folder } of parts) runs.push(...(await readCaseRows<SweptRun>(join(folder, RUNS), cases)));
  const sum = (of: (output: SweepPartOutput) => number): number =>
    parts.reduce((n, { output }) => n + of(output), 0);
  return {
    runs,
    offeredTokens: sum((o) => o.offeredTokens),
    acceptedTokens: sum((o) => o.acceptedTokens),
  };
}
