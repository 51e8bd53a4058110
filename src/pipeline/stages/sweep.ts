/** @file Stage `sweep`: steer one model at every block, choose its block, and see where the trigger's information sits. */
import { z } from 'zod';
import { evaluationSettings, type Heatmap, type SweepRow, sweepSettings } from '../../contracts/index.ts';
import { sweep } from '../../evaluate/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, subjectModel } from '../stage.ts';
import { dataStage } from './data.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';

const sweepParams = z.strictObject({
  ...askingParams.shape,
  ...evaluationSettings.omit({ batch: true }).shape,
  ...sweepSettings.shape,
  side: z.enum(['source', 'target']),
  /** Prompts of the heat map; 0 leaves it out. */
  heatmap: z.int(),
  /** The recipe's block, where it names one. */
  block: z.int().optional(),
});

/** Rows of `results.sweep`, the block chosen, and what the report must say. */
export interface SweepOutput {
  readonly rows: readonly SweepRow[];
  readonly chosen: number;
  readonly heatmap?: Heatmap | undefined;
  readonly draft_acceptance: number;
  readonly notes: readonly string[];
}

export const sweepStage = defineStage({
  name: 'sweep',
  version: '7',
  module: import.meta.url,
  child: true,
  params: sweepParams,
  inputs: { model: subjectModel, data: dataStage, runs: runsStage, ...detectorInput },
  estimate: (p, info) => {
    const [model] = info.models;
    const blocks = p.blocks === 'all' ? (model?.blocks ?? 1) : p.blocks.length;
    const noise = p.controls.filter((c) => c.startsWith('random')).length;
    // Steered and its controls in both directions, and the noise of the chosen block; a pass begins at the patched block.
    const passes = 2 * (blocks * (1 + p.controls.length + noise * (p.draws - 1)) + noise * p.chosen_draws);
    const tokens = p.prompts * passes * (promptTokens(info) + p.max_tokens);
    return { tokens: Math.round(tokens / 2), memory_bytes: runningBytes(info.models.slice(0, 1)) };
  },
  async run({ params: p, inputs, folder, rng, progress, signal, threads, model }): Promise<SweepOutput> {
    const tuned = await model('model');
    await using detector = await detectorOf(p, { inputs, threads, signal });
    const all = await subjectOf(tuned.tokenizer, p, { ...inputs, split: 'validation', detector });
    const { samples, ...found } = await sweep(
      {
        model: tuned,
        subject: { ...all, cases: all.cases.slice(0, p.prompts) },
        heatmap: p.heatmap > 0 ? { subject: all, prompts: p.heatmap } : undefined,
        behaviour: p.behaviour.name,
        side: p.side,
      },
      p,
      { rng: rng.fork('sweep'), progress, signal },
    );
    await writeSamples(folder, samples);
    return found;
  },
});
