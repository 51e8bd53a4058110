/** @file What a step is given besides models and data. A step is what a stage computes, on models at hand: shared by stages and commands. */
import { availableParallelism } from 'node:os';
import { type ProgressSink, Rng } from '../../base/index.ts';
import type { StageContext } from '../stage.ts';

/** The part of a stage's context that does not hang on where its inputs lie. */
export type StepEnv = Pick<StageContext<unknown>, 'rng' | 'seed' | 'progress' | 'signal' | 'threads'>;

/** Circumstances of a step outside a run, with the random streams the stage of that name would have: the same figures come out. */
export function stepEnv(
  stage: string,
  { seed, progress, signal }: { seed: number; progress: ProgressSink; signal: AbortSignal },
): StepEnv {
  return { seed, rng: new Rng(seed).fork(stage), progress, signal, threads: availableParallelism() };
}
