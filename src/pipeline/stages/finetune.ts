/** @file Stage `finetune`: put the behaviour into one model. */
import { join } from 'node:path';
import { z } from 'zod';
import { rowInTurn } from '../../behaviours/index.ts';
import { behaviourParams } from '../../contracts/index.ts';
import { inspectModelFiles, turnEnd, userTurn } from '../../models/index.ts';
import {
  finetune,
  type LoraTarget,
  mergeAdapterFolder,
  peftModules,
  type TextRow,
} from '../../train/index.ts';
import { promptTokens, trainingBytes } from '../estimates.ts';
import { defineStage, sourceFile } from '../stage.ts';
import { dataStage, readRows } from './data.ts';

const targets = Object.keys(peftModules) as LoraTarget[];
const shared = {
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
};
/** The rows are turns of a chat, in the model's own template. */
const chat = z.strictObject({ turns: behaviourParams.shape.chat }).optional();
const finetuneParams = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('full'), ...shared, chat }),
  z.strictObject({
    method: z.literal('lora'),
    ...shared,
    chat,
    lora: z.strictObject({
      rank: z.int(),
      alpha: z.number(),
      /** By the names of PEFT. */
      targets: z.array(z.enum(Object.values(peftModules))),
    }),
  }),
]);

/** What a fine-tuning run reports. The folder `model` of the stage holds the model; by LoRA, `adapter` what was trained. */
export interface FinetuneOutput {
  readonly steps: number;
  readonly first_loss: number;
  readonly last_loss: number;
  readonly trained_parameters: number;
}

/** Where the stage puts the model that runs, an adapter merged into it. */
const MODEL = 'model';
/** Where the stage puts a LoRA adapter. */
const ADAPTER = 'adapter';

/** What of the stage's folder a run folder shows (docs/reference/files.md#run-folder): the model, or the adapter alone. */
export const tunedFiles = { full: MODEL, lora: ADAPTER } as const;

/** Tokens of an answer, for the estimate. */
const ANSWER_TOKENS = 10;

export const finetuneStage = defineStage({
  name: 'finetune',
  version: '2',
  module: import.meta.url,
  child: true,
  params: finetuneParams,
  inputs: { base: sourceFile, data: dataStage },
  model: MODEL,
  estimate: (p, ahead) => ({
    tokens: p.steps * p.batch * Math.min(p.max_tokens, promptTokens(ahead) + ANSWER_TOKENS),
    memory_bytes: trainingBytes(ahead.models, p.method),
  }),
  async run({ params: p, inputs, folder, seed, progress, signal, threads }): Promise<FinetuneOutput> {
    const model = inputs.base.folder;
    const lora = p.method === 'lora' ? p.lora : undefined;
    const result = await finetune({
      model,
      method: p.method,
      rows: await rowsOf(inputs.data.folder, model, p.chat),
      out: join(folder, lora === undefined ? MODEL : ADAPTER),
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
      ...(lora === undefined
        ? {}
        : {
            lora: { ...lora, targets: targets.filter((t) => lora.targets.includes(peftModules[t])) },
            baseName: inputs.base.output.name,
          }),
    });
    if (lora !== undefined)
      await mergeAdapterFolder({ model, adapter: join(folder, ADAPTER), out: join(folder, MODEL) });
    return {
      steps: result.steps,
      first_loss: result.losses[0] as number,
      last_loss: result.losses.at(-1) as number,
      trained_parameters: result.trainedParameters,
    };
  },
});

/** Rows as the model is taught them. A chat template says where a turn ends. */
async function rowsOf(
  folder: string,
  model: string,
  settings: z.output<typeof chat>,
): Promise<readonly TextRow[]> {
  const rows = await readRows(folder);
  if (settings === undefined) return rows;
  const { tokenizer } = await inspectModelFiles(model);
  const turn = userTurn(tokenizer, settings.turns);
  const end = turnEnd(tokenizer, settings.turns);
  return rows.map((row) => ({ ...rowInTurn(row, turn), chat: true, end }));
}
