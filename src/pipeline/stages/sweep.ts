/** @file Stage `sweep`: steer one model at every block, choose its block, and see where the trigger's information sits. */
import { z } from 'zod';
import { behaviourParams, type Heatmap, SWEEP_CONTROLS, type SweepRow } from '../../contracts/index.ts';
import { heatmap, sweep } from '../../evaluate/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import { defineStage, type StageContext } from '../stage.ts';
import type { DataOutput } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import { type RunsOutput, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';

const sweepParams = z.strictObject({
  behaviour: behaviourParams,
  side: z.enum(['source', 'target']),
  after: z.int(),
  exact: z.boolean(),
  max_tokens: z.int(),
  bootstrap: z.int(),
  prompts: z.int(),
  blocks: z.union([z.literal('all'), z.array(z.int())]),
  controls: z.array(z.enum(SWEEP_CONTROLS)),
  draws: z.int(),
  chosen_draws: z.int(),
  choose: z.enum(['best-margin', 'last-steerable']),
  tolerance: z.number(),
  /** Prompts of the heat map; 0 leaves it out. */
  heatmap: z.int(),
});

/** Rows of `results.sweep`, the block chosen, and what the report must say. */
export interface SweepOutput {
  readonly rows: readonly SweepRow[];
  readonly chosen: number;
  readonly heatmap?: Heatmap;
  readonly draft_acceptance: number;
  readonly notes: readonly string[];
}

interface Inputs {
  model: FinetuneOutput;
  data: DataOutput;
  runs: RunsOutput;
}

export const sweepStage = defineStage({
  name: 'sweep',
  version: '5',
  module: import.meta.url,
  child: true,
  params: sweepParams,
  estimate: (p, ahead) => {
    const [model] = ahead.models;
    const blocks = p.blocks === 'all' ? (model?.blocks ?? 1) : p.blocks.length;
    const noise = p.controls.filter((c) => c.startsWith('random')).length;
    // Steered and its controls in both directions, and the noise of the chosen block; a pass begins at the patched block.
    const passes = 2 * (blocks * (1 + p.controls.length + noise * (p.draws - 1)) + noise * p.chosen_draws);
    const tokens = p.prompts * passes * (promptTokens(ahead) + p.max_tokens);
    return { tokens: Math.round(tokens / 2), memory_bytes: runningBytes(ahead.models.slice(0, 1)) };
  },
  async run({
    params: p,
    inputs,
    folder,
    rng,
    progress,
    signal,
    threads,
  }: StageContext<z.output<typeof sweepParams>, Inputs>): Promise<SweepOutput> {
    await using model = await LanguageModel.load(tunedModel(inputs.model.folder), { threads });
    const from = {
      data: inputs.data.folder,
      runs: inputs.runs,
      split: 'validation',
      after: p.after,
      exact: p.exact,
    } as const;
    const shared = { maxNewTokens: p.max_tokens, progress, signal };
    const result = await sweep(
      model,
      await subjectOf(model.tokenizer, p.behaviour, { ...from, n: p.prompts }),
      {
        ...shared,
        ...(p.blocks === 'all' ? {} : { blocks: p.blocks }),
        controls: p.controls,
        draws: p.draws,
        chosenDraws: p.chosen_draws,
        choose: p.choose,
        tolerance: p.tolerance,
        after: p.after,
        rng: rng.fork('sweep'),
        tags: { behaviour: p.behaviour.name, stage: 'sweep', side: p.side },
        bootstrap: p.bootstrap,
      },
    );
    // Prompts that do not show the behaviour are passed over, so the heat map is offered all of them.
    const map =
      p.heatmap > 0
        ? await heatmap(model, await subjectOf(model.tokenizer, p.behaviour, from), {
            ...shared,
            prompts: p.heatmap,
          })
        : undefined;
    await writeSamples(folder, result.samples);
    return {
      rows: result.rows,
      chosen: result.chosen,
      draft_acceptance: result.draftAcceptance,
      notes: [
        ...result.notes,
        ...(p.heatmap > 0 && map === undefined
          ? [`heat map: left out, no validation prompt shows the behaviour in the ${p.side} model`]
          : []),
      ],
      heatmap: map,
    };
  },
});
