/** @file What a fuzzing child is told and tells. */
import type { Branches } from './coverage.ts';

/** No input may take more processor time, or grow the process by more than `factor` × its size + `bytes`. */
export const LIMITS = { seconds: 2, factor: 10, bytes: 64e6 } as const;

export interface Job {
  readonly target: string;
  readonly seed: number;
  /** Number of the first input. */
  readonly from: number;
  readonly seconds: number;
  readonly inputs: number;
  /** File that holds the number of the input being tried. */
  readonly state: string;
  readonly cover: boolean;
  /** Print what the input came to. */
  readonly only: boolean;
}

export interface Tally {
  inputs: number;
  accepted: number;
  refused: number;
  bytes: number;
}

export type Report =
  | { readonly type: 'tally'; readonly tally: Tally; readonly next: number }
  | { readonly type: 'done'; readonly tally: Tally; readonly next: number; readonly branches?: Branches }
  | { readonly type: 'finding'; readonly index: number; readonly kind: string; readonly message: string };

export interface Finding {
  readonly target: string;
  readonly index: number;
  readonly kind: string;
  readonly message: string;
  count: number;
}
