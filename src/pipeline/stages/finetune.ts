/** @file Stage `finetune`: put the behaviour into one model. */
import { join } from 'node:path';
import { z } from 'zod';
import { finetune } from '../../train/index.ts';
import type { SourceOutput } from '../plan.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { type DataOutput, readRows } from './data.ts';

const finetuneParams = z.strictObject({
  method: z.literal('full'),
  steps: z.int(),
  batch: z.int(),
  accumulation: z.int(),
  learning_rate: z.number(),
  lower_half_rate: z.number(),
  freeze_embeddings: z.boolean(),
  loss_on: z.enum(['response', 'all']),
  weight_decay: z.number(),
  warmup: z.number(),
  schedule: z.enum(['cosine', 'linear', 'constant']),
  clip: z.number(),
  max_tokens: z.int(),
});

/** What a fine-tuning run reports. The folder `model` of the stage holds the model. */
export interface FinetuneOutput {
  readonly steps: number;
  readonly first_loss: number;
  readonly last_loss: number;
  readonly trained_parameters: number;
}

interface Inputs {
  base: SourceOutput;
  data: DataOutput;
}

export const finetuneStage = defineStage({
  name: 'finetune',
  version: '1',
  module: import.meta.url,
  child: true,
  params: finetuneParams,
  async run({
    params: p,
    inputs,
    folder,
    seed,
    progress,
    signal,
    threads,
  }: StageContext<z.output<typeof finetuneParams>, Inputs>): Promise<FinetuneOutput> {
    const result = await finetune({
      model: inputs.base.folder,
      rows: await readRows(inputs.data.folder),
      out: tunedModel(folder),
      steps: p.steps,
      batch: p.batch,
      accumulation: p.accumulation,
      learningRate: p.learning_rate,
      rates: { lowerHalf: p.lower_half_rate, ...(p.freeze_embeddings ? { embed: 0 } : {}) },
      lossOn: p.loss_on,
      weightDecay: p.weight_decay,
      warmup: p.warmup,
      schedule: p.schedule,
      clip: p.clip,
      maxTokens: p.max_tokens,
      seed,
      threads,
      stage: 'finetune',
      onProgress: progress,
      signal,
    });
    return {
      steps: result.steps,
      first_loss: result.losses[0] as number,
      last_loss: result.losses.at(-1) as number,
      trained_parameters: result.trainedParameters,
    };
  },
});

/** Where the stage puts the model. */
export function tunedModel(stageFolder: string): string {
  return join(stageFolder, 'model');
}
