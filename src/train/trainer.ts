/** @file The training loop: batches in, updated parameters out, with held-out loss, checkpoints and an early end when it diverges. */
import { CrosspatchError, type ProgressSink, silent, throwIfAborted } from '../base/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { AdamW, type AdamWOptions, globalNorm } from './adamw.ts';
import type { LoraOptions } from './adapters.ts';
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
  /** Held-out batches, looked at every `every` steps and at the end; `patience` looks without a better one end the run. */
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
  readonly losses: readonly number[];
  readonly heldOut: readonly { readonly step: number; readonly loss: number }[];
  readonly steps: number;
  /** Real tokens seen, in this process. */
  readonly tokens: number;
  readonly seconds: number;
  readonly ended: 'steps' | 'early-stop';
}

/** Train `parameters` in place. */
export async function train(
  config: ModelConfig,
  parameters: Parameters,
  options: TrainOptions,
): Promise<TrainResult> {
  const { steps, clip = 1, onProgress = silent, stage = 'train' } = options;
  const rate =
    options.rate ??
    (options.lora === undefined ? () => 1 : (name: string) => (name.includes('.lora_') ? 1 : 0));
  await using model = await TrainableModel.open(config, parameters, {
    trains: (name) => rate(name) !== 0,
    ...(options.lora === undefined ? {} : { lora: options.lora }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  const optimizer = new AdamW(model.gradientsByName, options.adamw);
  const trained: Parameters = new Map(
    [...model.gradientsByName.keys()].map((name) => [name, parameters.get(name) as Float32Array]),
  );
  const tensors = { parameters: trained, first: optimizer.first, second: optimizer.second };

  const { checkpoint } = options;
  const former = checkpoint && (await loadTrainingState(checkpoint.folder, checkpoint.identity, tensors));
  const losses = [...(former?.losses ?? [])];
  const heldOut = [...(former?.heldOut ?? [])];
  const save = async (step: number): Promise<void> => {
    if (checkpoint)
      await saveTrainingState(
        checkpoint.folder,
        { identity: checkpoint.identity, step, losses, heldOut },
        tensors,
      );
  };

  const started = performance.now();
  let tokens = 0;
  let ended: TrainResult['ended'] = stoppedEarly(heldOut, options.heldOut?.patience) ? 'early-stop' : 'steps';
  let step = former?.step ?? 0;
  while (step < steps && ended === 'steps') {
    throwIfAborted(options.signal, stage);
    step++;
    const micro = options.batches(step);
    const weight = micro.reduce((sum, b) => sum + b.totalWeight, 0);
    let loss = 0;
    for (const [i, batch] of micro.entries()) {
      loss += (await model.gradients(batch, { scale: 1 / weight, accumulate: i > 0 })).loss;
      tokens += batch.tokens;
    }
    const norm = globalNorm(model.gradientsByName);
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const last = checkpoint ? `the last good state is in ${checkpoint.folder}` : 'no checkpoint was kept';
      throw new CrosspatchError(
        `${stage}: diverged at step ${step} (loss ${loss / weight}, gradient ${norm}); lower the learning rate; ${last}`,
      );
    }
    losses.push(loss / weight);
    const base = learningRate(options.schedule, step, steps);
    optimizer.update(
      parameters,
      model.gradientsByName,
      step,
      (name) => base * rate(name),
      clip > 0 ? Math.min(1, clip / (norm + 1e-6)) : 1,
    );

    if (options.heldOut && (step % options.heldOut.every === 0 || step === steps)) {
      heldOut.push({ step, loss: await meanLoss(model, options.heldOut.batches) });
      if (stoppedEarly(heldOut, options.heldOut.patience)) ended = 'early-stop';
    }
    if (checkpoint && (step % checkpoint.every === 0 || step === steps || ended === 'early-stop'))
      await save(step);
    const seconds = (performance.now() - started) / 1000;
    onProgress({
      stage,
      done: step,
      total: steps,
      unit: 'steps',
      figures: {
        loss: loss / weight,
        tokens_per_second: tokens / seconds,
        ...(heldOut.length > 0 ? { held_out_loss: heldOut.at(-1)?.loss as number } : {}),
      },
    });
  }
  return { losses, heldOut, steps: step, tokens, seconds: (performance.now() - started) / 1000, ended };
}

/** Mean loss a token over batches. */
export async function meanLoss(model: TrainableModel, batches: readonly Batch[]): Promise<number> {
  let loss = 0;
  let weight = 0;
  for (const batch of batches) {
    const part = await model.loss(batch);
    loss += part.loss;
    weight += part.weight;
  }
  return loss / weight;
}

function stoppedEarly(heldOut: readonly { readonly loss: number }[], patience: number | undefined): boolean {
  if (patience === undefined || heldOut.length <= patience) return false;
  const best = Math.min(...heldOut.slice(0, -patience).map((h) => h.loss));
  return heldOut.slice(-patience).every((h) => h.loss >= best);
}
