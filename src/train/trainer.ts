/** @file The training loop: batches in, updated parameters out, with held-out loss, checkpoints and an early end when it diverges. */
import { CrosspatchError, type ProgressSink, silent, throwIfAborted } from '../base/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { AdamW, type AdamWOptions, globalNorm } from './adamw.ts';
import { isFactor, type LoraOptions } from './adapters.ts';
import type { Batch } from './batches.ts';
import { loadTrainingState, saveTrainingState } from './checkpoint.ts';
import type { Parameters } from './parameters.ts';
import { learningRate, type Schedule } from './schedule.ts';
import { TrainableModel } from './trainable.ts';

/** A training run. */
export interface TrainOptions {
  readonly steps: number;
  readonly schedule: Schedule;
  /** The micro-batches of step 1…`steps`; a function of the step alone, so that a resumed run sees the same data. */
  readonly batches: (step: number) => readonly Batch[];
  /** Factor on the rate of each parameter; 0 freezes it. Defaults to 1 for all, or to adapters only with `lora`. */
  readonly rate?: (name: string) => number;
  readonly lora?: LoraOptions;
  readonly adamw?: AdamWOptions;
  /** Longest gradient; longer ones are shortened to it. Defaults to 1; 0 = no clipping. */
  readonly clip?: number;
  readonly threads?: number;
  /**
   * Held-out batches, looked at every `every` steps and at the end. `patience` looks without a better one end the run, and
   * the weights of the best look are then what it leaves.
   */
  readonly heldOut?: {
    readonly batches: readonly Batch[];
    readonly every: number;
    readonly patience?: number;
  };
  /** Where the state is kept, every `every` steps; `identity` names everything that decides the bytes. */
  readonly checkpoint?: { readonly folder: string; readonly every: number; readonly identity: string };
  /** Name in progress events. Defaults to `train`. */
  readonly stage?: string;
  readonly onProgress?: ProgressSink;
  readonly signal?: AbortSignal;
}

/** How a run went. `parameters` handed in were updated in place. */
export interface TrainResult {
  /** Mean loss a token of every step, before its update. */
  readonly losses: readonly number[];
  readonly heldOut: readonly { readonly step: number; readonly loss: number }[];
  /** Step whose weights were left: the last, or after an early stop the best. */
  readonly steps: number;
  /** Real tokens seen, in this process. */
  readonly tokens: number;
  readonly seconds: number;
  readonly ended: 'steps' | 'early-stop';
}

/** The run's loss rose for good, or stopped being a number. The parameters in memory are of no use. */
export class DivergedError extends CrosspatchError {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, { ...options, id: 'diverged' });
  }
}

/** Train `parameters` in place. Throws {@link DivergedError}; on an abort the state is saved first. */
export async function train(
  config: ModelConfig,
  parameters: Parameters,
  options: TrainOptions,
): Promise<TrainResult> {
  const { steps, clip = 1, onProgress = silent, stage = 'train', checkpoint } = options;
  const rate = options.rate ?? ((name) => (options.lora === undefined || isFactor(name) ? 1 : 0));
  const patience = options.heldOut?.patience;
  await using model = await TrainableModel.open(config, parameters, {
    trains: (name) => rate(name) !== 0,
    lora: options.lora,
    threads: options.threads,
  });
  const optimizer = new AdamW(model.gradientsByName, options.adamw);
  const trained: Parameters = new Map(
    [...model.gradientsByName.keys()].map((name) => [name, parameters.get(name) as Float32Array]),
  );
  const tensors = {
    parameters: trained,
    first: optimizer.first,
    second: optimizer.second,
    ...(patience === undefined ? {} : { best: new Map([...trained].map(([n, w]) => [n, w.slice()])) }),
  };

  const former = checkpoint && (await loadTrainingState(checkpoint.folder, checkpoint.identity, tensors));
  const losses = [...(former?.losses ?? [])];
  const heldOut = [...(former?.heldOut ?? [])];
  let step = former?.step ?? 0;
  let saved = step;
  const save = async (): Promise<void> => {
    if (checkpoint === undefined || saved === step) return;
    const state = { identity: checkpoint.identity, step, losses, heldOut };
    await saveTrainingState(checkpoint.folder, state, tensors);
    saved = step;
  };

  const first = step;
  const started = performance.now();
  let tokens = 0;
  while (step < steps && !stoppedEarly(heldOut, patience)) {
    if (options.signal?.aborted) await save();
    throwIfAborted(options.signal, stage);
    const micro = options.batches(step + 1);
    const weight = micro.reduce((sum, b) => sum + b.totalWeight, 0);
    let loss = 0;
    for (const [i, batch] of micro.entries()) {
      loss += (await model.gradients(batch, { scale: 1 / weight, accumulate: i > 0 })).loss / weight;
      tokens += batch.tokens;
    }
    const norm = globalNorm(model.gradientsByName);
    checkHealth([...losses, loss], norm, stage, checkpoint && saved > 0 ? checkpoint.folder : undefined);
    losses.push(loss);
    step++;
    const base = learningRate(options.schedule, step, steps);
    optimizer.update(parameters, model.gradientsByName, {
      step,
      rate: (name) => base * rate(name),
      scale: clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1,
    });

    if (options.heldOut && (step % options.heldOut.every === 0 || step === steps)) {
      const look = { step, loss: await meanLoss(model, options.heldOut.batches) };
      if (heldOut.every((h) => look.loss < h.loss)) copyInto(tensors.best, trained);
      heldOut.push(look);
    }
    if (step === steps || stoppedEarly(heldOut, patience) || step % (checkpoint?.every ?? steps) === 0)
      await save();
    const seconds = (performance.now() - started) / 1000;
    onProgress({
      stage,
      done: step,
      total: steps,
      unit: 'steps',
      figures: {
        loss,
        tokens_per_second: tokens / seconds,
        seconds_left: ((steps - step) * seconds) / (step - first),
        learning_rate: base,
        ...(heldOut.length > 0 ? { held_out_loss: heldOut.at(-1)?.loss as number } : {}),
      },
    });
  }
  const early = stoppedEarly(heldOut, patience);
  if (early && tensors.best !== undefined) copyInto(trained, tensors.best);
  return {
    losses,
    heldOut,
    steps: early ? bestLook(heldOut) : step,
    tokens,
    seconds: (performance.now() - started) / 1000,
    ended: early ? 'early-stop' : 'steps',
  };
}

/** Mean loss a token over batches. */
async function meanLoss(model: TrainableModel, batches: readonly Batch[]): Promise<number> {
  let loss = 0;
  let weight = 0;
  for (const batch of batches) {
    const part = await model.loss(batch);
    loss += part.loss;
    weight += part.weight;
  }
  return loss / weight;
}

/** Steps the loss must stay high for, to tell a run that went up for good from a hard batch. */
const WINDOW = 10;

/** Throw when the loss or the gradient is not a number, or ten losses on end lie half above the first one and 1 nat more. */
function checkHealth(
  losses: readonly number[],
  norm: number,
  stage: string,
  folder: string | undefined,
): void {
  const loss = losses.at(-1) as number;
  const limit = 1.5 * losses[0] + 1;
  const rose = losses.length > WINDOW && losses.slice(-WINDOW).every((l) => l > limit);
  if (Number.isFinite(loss) && Number.isFinite(norm) && !rose) return;
  const what = rose
    ? `the loss stayed above ${limit.toFixed(2)} for ${WINDOW} steps`
    : `loss ${loss}, gradient norm ${norm}`;
  const last =
    folder === undefined ? 'no checkpoint was written before' : `the last good state is in ${folder}`;
  throw new DivergedError(
    `${stage}: diverged at step ${losses.length} (${what}); lower the learning rate; ${last}`,
  );
}

function stoppedEarly(heldOut: readonly { readonly loss: number }[], patience: number | undefined): boolean {
  if (patience === undefined || heldOut.length <= patience) return false;
  const best = Math.min(...heldOut.slice(0, -patience).map((h) => h.loss));
  return heldOut.slice(-patience).every((h) => h.loss >= best);
}

function bestLook(heldOut: readonly { readonly step: number; readonly loss: number }[]): number {
  return heldOut.reduce((best, h) => (h.loss < best.loss ? h : best)).step;
}

function copyInto(to: Parameters | undefined, from: Parameters): void {
  for (const [name, values] of to ?? []) values.set(from.get(name) as Float32Array);
}
