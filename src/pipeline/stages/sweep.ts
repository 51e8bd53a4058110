/**
 * @file Stage `sweep`: steer one model at every block, choose its block, and see where the trigger's information sits. Many blocks are steered
 * at in parts, by stages of their own, and their figures made here; few are steered at here.
 */
import type { Heatmap, SweepRow } from '../../contracts/index.ts';
import { sweep } from '../../evaluate/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage } from '../stage.ts';
import { detectorOf } from './runs.ts';
import { writeSamples } from './samples.ts';
import {
  readSweepParts,
  sweepParams,
  sweepPartStage,
  sweepRng,
  sweepTokens,
  sweptInputs,
  sweptOf,
} from './sweep-part.ts';

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
  version: '8',
  module: import.meta.url,
  child: true,
  params: sweepParams,
  inputs: {
    ...sweptInputs,
    /** What was run in parts; none where one part is all. */
    parts: [sweepPartStage],
  },
  estimate: (p, info) => {
    const [model] = info.models;
    const blocks = p.blocks === 'all' ? (model?.blocks ?? 1) : p.blocks.length;
    const here = info.params('sweep-part') === undefined ? sweepTokens(p, blocks, info) : 0;
    const noise = p.controls.filter((c) => c.startsWith('random')).length;
    const more = p.prompts * noise * p.chosen_draws * (promptTokens(info) + p.max_tokens);
    return { tokens: here + more, memory_bytes: runningBytes(info.models.slice(0, 1)) };
  },
  async run({ params: p, inputs, folder, seed, model, ...env }): Promise<SweepOutput> {
    await using detector = await detectorOf(p, { inputs, ...env });
    const { all, ...swept } = await sweptOf(await model('model'), p, inputs, detector);
    const { samples, ...found } = await sweep(
      { ...swept, heatmap: p.heatmap > 0 ? { subject: all, prompts: p.heatmap } : undefined },
      p,
      { ...env, rng: sweepRng(seed) },
      inputs.parts.length === 0 ? undefined : await readSweepParts(inputs.parts, swept.subject),
    );
    await writeSamples(folder, samples);
    return found;
  },
});
