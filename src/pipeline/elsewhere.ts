/** @file Stages computed somewhere else than by the process that runs the plan: what a runner asks for, and what it hears. */
import type { Plan, StageNode } from './plan.ts';
import type { RunEvent } from './run-event.ts';

/** One stage that is to be computed; what it reads is in the store. */
export interface AskedStage {
  readonly plan: Plan;
  readonly node: StageNode;
  /** Threads it is to compute with, on whichever machine. */
  readonly threads: number;
  /** Takes it back; what has begun goes on. */
  readonly signal: AbortSignal;
  /** Hears that it starts, how it goes on, and what there is to say. */
  readonly onEvent: (event: Omit<RunEvent, 'stage'>) => void;
}

/** Computes stages elsewhere, as many side by side as there is room for. */
export interface Elsewhere {
  /** Sum over the machines' processes of the most each held while it worked for this run, bytes. */
  readonly peakMemoryBytes: number;
  /** Resolves once the store holds the stage; throws what the stage threw. */
  compute(asked: AskedStage): Promise<void>;
}
