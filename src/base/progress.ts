/** @file Progress is data: every long job reports events, and the terminal, the log and the web app draw the same ones. */

/** One report of a long job. Times are the receiver's business. */
export interface ProgressEvent {
  /** What is running, e.g. `finetune.source` or `sweep.target`. */
  readonly stage: string;
  /** Units finished so far. */
  readonly done: number;
  /** Units in all, when known. */
  readonly total?: number;
  /** What is counted: `steps`, `prompts`, `tokens`, `bytes`, … */
  readonly unit?: string;
  /** Figures worth showing beside the bar, e.g. `{ loss: 0.12, tokens_per_second: 9000 }`. */
  readonly figures?: Readonly<Record<string, number>>;
  /** A line for the log. */
  readonly message?: string;
}

/** Receives progress; must not throw. */
export type ProgressSink = (event: ProgressEvent) => void;

/** Ignores everything. */
export const silent: ProgressSink = () => {};
