/** @file `--lora` of `vector`: an adapter trained on the same pairs, in a temporary folder, and the model under it at any scale. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  type DoseLora,
  type DoseLoraSettings,
  type DoseReport,
  doseLoraSettings,
} from '../contracts/index.ts';
import type { ContrastSet, LoraInput } from '../evaluate/index.ts';
import { LanguageModel, turnEnd } from '../models/index.ts';
import {
  allLoraTargets,
  type FinetuneResult,
  finetune,
  mergeAdapterFolder,
  trainRow,
} from '../train/index.ts';
import { decimal } from './cli.ts';
import { duration } from './progress.ts';
import { countOption, defaults } from './settings.ts';
import { figure } from './table.ts';
import { type TemplateOptions, turnSettings } from './template.ts';

export interface LoraOptions {
  readonly lora?: boolean;
  readonly loraRank: number;
  readonly loraEpochs: number;
  readonly loraBatch: number;
  readonly loraRate: number;
  readonly loraAnswer: number;
  readonly loraLargest: number;
}

/** The options of the arm `lora`. */
export function addLoraOptions(command: Command): Command {
  const { shape } = doseLoraSettings;
  const said = (key: 'learning_rate' | 'largest'): string =>
    (shape[key].description ?? '').replace(/^[A-Z]/, (c) => c.toLowerCase());
  return command
    .option(
      '--lora',
      'train a LoRA on the training pairs: its effect and cost beside, as trained and at the costs of --budget',
    )
    .addOption(countOption('--lora-rank <n>', { section: doseLoraSettings, key: 'rank' }))
    .addOption(countOption('--lora-epochs <n>', { section: doseLoraSettings, key: 'epochs' }))
    .addOption(countOption('--lora-batch <n>', { section: doseLoraSettings, key: 'batch' }))
    .addOption(
      new Option('--lora-rate <x>', said('learning_rate'))
        .argParser(decimal('--lora-rate', Number.MIN_VALUE))
        .default(defaults.doseLora.learning_rate),
    )
    .addOption(countOption('--lora-answer <n>', { section: doseLoraSettings, key: 'answer' }))
    .addOption(
      new Option('--lora-largest <x>', said('largest'))
        .argParser(decimal('--lora-largest', Number.MIN_VALUE))
        .default(defaults.doseLora.largest),
    );
}

/** The settings of the options; undefined without `--lora`. */
export function loraSettingsOf(options: LoraOptions): DoseLoraSettings | undefined {
  if (options.lora !== true) return undefined;
  return doseLoraSettings.parse({
    rank: options.loraRank,
    epochs: options.loraEpochs,
    batch: options.loraBatch,
    learning_rate: options.loraRate,
    answer: options.loraAnswer,
    largest: options.loraLargest,
  });
}

/** What a LoRA of `model` is trained on, and how: in a temporary folder that goes when the adapter is disposed of. */
export function loraInput(model: LanguageModel, train: ContrastSet, options: TemplateOptions): LoraInput {
  const { tokenizer, checkpoint } = model;
  const turn = options.template === 'chat' ? turnEnd(tokenizer, turnSettings(options)) : undefined;
  const teach: LoraInput['teach'] = async (lessons, settings, env) => {
    const folder = await mkdtemp(join(tmpdir(), 'crosspatch-lora-'));
    const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true });
    const [adapter, merged] = [join(folder, 'adapter'), join(folder, 'merged')];
    const { rank, epochs, batch, learning_rate: learningRate } = settings;
    try {
      const rows = lessons.map(({ prompt, answer }) => trainRow(prompt, answer));
      const longest = rows.reduce((most, { ids }) => Math.max(most, ids.length), 0);
      const result = await finetune({
        ...{ model: checkpoint.path, rows, out: adapter, method: 'lora', seed: env.seed },
        ...{ epochs, batch, learningRate, maxTokens: longest },
        lora: { rank, alpha: 2 * rank, targets: allLoraTargets },
        ...{ stage: 'lora', onProgress: env.progress, signal: env.signal },
      });
      return {
        training: trainingOf(result, settings),
        at: async (scale) => {
          await remove(merged);
          await mergeAdapterFolder({ model: checkpoint.path, adapter, out: merged, scale });
          return LanguageModel.load(merged);
        },
        [Symbol.asyncDispose]: () => remove(folder),
      };
    } catch (error) {
      await remove(folder);
      throw error;
    }
  };
  return { train, end: turn ?? tokenizer.eosIds[0], teach };
}

function trainingOf(
  { settings, losses, steps, seconds, trainedParameters }: FinetuneResult,
  { epochs, batch, learning_rate, rank }: DoseLoraSettings,
): Awaited<ReturnType<LoraInput['teach']>>['training'] {
  const perEpoch = Math.max(1, Math.round(losses.length / epochs));
  const mean = (part: readonly number[]): number => part.reduce((sum, x) => sum + x, 0) / part.length;
  return {
    ...{ steps, epochs, batch, learning_rate, rank, alpha: settings.lora.alpha },
    parameters: trainedParameters,
    loss: { first: mean(losses.slice(0, perEpoch)), last: mean(losses.slice(-perEpoch)) },
    train_seconds: seconds,
  };
}

/** What the adapter is, and which budgets it does not reach. */
export function loraSentence({ lora, points }: DoseReport): string {
  if (lora === undefined) return '';
  const missed = points.filter(
    ({ arm, budget, cost }) =>
      arm === 'lora' && budget !== undefined && Math.abs(cost.per_token - budget) > 0.02 * budget,
  );
  const note =
    missed.length === 0
      ? ''
      : `; no scale up to ${figure(lora.largest)} costs ${missed.map(({ budget }) => figure(budget)).join(' or ')}, the nearest is shown`;
  return `LoRA: α is its scale, 1 as trained; ${trained(lora)}${note}.\n`;
}

function trained({ rows, taught, steps, batch, rank, loss, train_seconds }: DoseLora): string {
  return `rank ${rank}, ${rows} pairs (${taught}), ${steps} steps of ${batch}, loss ${figure(loss.first)} → ${figure(loss.last)}, ${duration(train_seconds)}`;
}
