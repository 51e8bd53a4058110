/** @file What is heard of a run while it goes on; the terminal, the log and the web app show the same events. */
import type { ProgressEvent } from '../base/index.ts';

/** Progress of a run: a {@link ProgressEvent} whose `stage` is a node's id, and what became of the node. */
export interface RunEvent extends ProgressEvent {
  readonly state: 'started' | 'running' | 'cached' | 'done' | 'failed';
  /** With `done` and `cached`: what the stage took when it was computed. */
  readonly seconds?: number;
}
/** Receives run events; must not throw. */
export type RunSink = (event: RunEvent) => void;
