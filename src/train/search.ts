/** @file A grid over learning rate and batch: one short run each from the same weights, compared by held-out loss. */
import { InputError, silent } from '../base/index.ts';
import { openBase } from './base.ts';
import { type FinetuneOptions, prepare } from './finetune.ts';
import { DivergedError, type TrainResult, train } from './trainer.ts';

/** Options of {@link search}: those of a run that writes nothing, and the grid. */
interface SearchOptions extends Omit<FinetuneOptions, 'out' | 'checkpoint' | 'dtype'> {
  readonly heldOut: NonNullable<FinetuneOptions['heldOut']>;
  readonly learningRates: readonly number[];
  /** Defaults to the one batch of the settings. */
  readonly batches?: readonly number[];
}

/** One run of the grid. */
export interface SearchRun {
  readonly learning_rate: number;
  readonly batch: number;
  readonly steps: number;
  /** Mean loss of the last tenth of the steps. */
  readonly train_loss: number | null;
  /** At the end; null when the run diverged. */
  readonly held_out_loss: number | null;
  readonly diverged: boolean;
  readonly seconds: number;
  /** For a plot: training and held-out loss by step. */
  readonly curve: {
    readonly step: readonly number[];
    readonly loss: readonly number[];
    readonly held_out_step: readonly number[];
    readonly held_out_loss: readonly number[];
  };
}

/** Runs in grid order, and the index of the best. */
interface SearchResult {
  readonly runs: readonly SearchRun[];
  readonly best: number;
}

/** Run the grid. Throws when every run diverges. */
export async function search(options: SearchOptions): Promise<SearchResult> {
  const { learningRates, batches = [undefined], onProgress = silent } = options;
  if (learningRates.length === 0 || options.heldOut.length === 0)
    throw new InputError('search: wanted learning rates and held-out rows to compare them by, got none', {
      id: 'setting-invalid',
    });
  const base = await openBase(options.model);
  const grid = learningRates.flatMap((learningRate) => batches.map((batch) => ({ learningRate, batch })));
  const runs: SearchRun[] = [];
  for (const { learningRate, batch } of grid) {
    const parameters = new Map([...base.parameters].map(([name, w]) => [name, w.slice()]));
    const run = await prepare({ ...base, parameters }, { ...options, learningRate, batch });
    const started = performance.now();
    const losses: number[] = [];
    let result: TrainResult | undefined;
    try {
      result = await train(base.config, run.parameters, {
        ...run.train,
        stage: `search ${learningRate} × ${run.settings.batch}`,
        onProgress: (event) => {
          losses.push(event.figures?.loss as number);
          onProgress(event);
        },
      });
    } catch (error) {
      if (!(error instanceof DivergedError)) throw error;
    }
    runs.push(record(run.settings, losses, result, (performance.now() - started) / 1000));
  }
  const best = bestOf(runs);
  if (best < 0)
    throw new InputError('search: every run diverged; try lower learning rates', { id: 'diverged' });
  return { runs, best };
}

function record(
  settings: { readonly learningRate: number; readonly batch: number; readonly steps: number },
  losses: readonly number[],
  result: TrainResult | undefined,
  seconds: number,
): SearchRun {
  const last = losses.slice(-Math.max(1, Math.ceil(losses.length / 10)));
  const looks = result?.heldOut ?? [];
  return {
    learning_rate: settings.learningRate,
    batch: settings.batch,
    steps: losses.length,
    train_loss: last.length === 0 ? null : last.reduce((a, b) => a + b, 0) / last.length,
    held_out_loss: looks.at(-1)?.loss ?? null,
    diverged: result === undefined,
    seconds,
    curve: {
      step: losses.map((_, i) => i + 1),
      loss: losses,
      held_out_step: looks.map((h) => h.step),
      held_out_loss: looks.map((h) => h.loss),
    },
  };
}

function bestOf(runs: readonly SearchRun[]): number {
  const scores = runs.map((run) => run.held_out_loss ?? Number.POSITIVE_INFINITY);
  const lowest = Math.min(...scores);
  return Number.isFinite(lowest) ? scores.indexOf(lowest) : -1;
}
