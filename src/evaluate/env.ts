/** @file Circumstances of an experiment: what is neither a model, nor data, nor a setting. */
import { availableParallelism } from 'node:os';
import { type ProgressSink, Rng } from '../base/index.ts';

/** Random stream, progress, stop signal and threads of an experiment. A stage's context is one. */
export interface ExperimentEnv {
  readonly seed: number;
  readonly rng: Rng;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  readonly threads: number;
}

/** The circumstances outside a run, with the random stream that the stage of this name would have: the figures are the same. */
export function experimentEnv(
  stage: string,
  { seed, progress, signal }: { seed: number; progress: ProgressSink; signal: AbortSignal },
): ExperimentEnv {
  return { seed, rng: new Rng(seed).fork(stage), progress, signal, threads: availableParallelism() };
}
