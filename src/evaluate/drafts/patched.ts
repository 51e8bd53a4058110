/** @file What is asked of verified drafts and what they answer: rows, patched runs, how each ended, what was saved. */
import type { Patch } from '../../interventions/index.ts';
import type { Draft, Probe } from './verify.ts';

/** Below this distance of the two best logits, batch and summation order could decide (measured noise: 1e-6). */
export const NEAR_TIE = 1e-4;

/** A prompt with the completions it may end in. */
export interface DraftRow {
  readonly ids: readonly number[];
  /** At least one. */
  readonly drafts: readonly Draft[];
  /** First position any patch of this row touches. */
  readonly from: number;
}

/** One patched run of a row at the block in turn. */
export interface PatchedRun extends Omit<Patch, 'block'> {
  /** Runs of one row with one label are expected to end alike from block to block (and draw to draw). */
  readonly arm: string;
  /** Index of the draft to try first, while nothing is known of this arm. Defaults to 0. */
  readonly draft?: number;
  readonly probe?: Probe | undefined;
}

/** How a patched run ended. */
export interface PatchedOutcome extends Draft {
  /** By its draft alone, by decoding on, or decoded again. */
  readonly how: 'draft' | 'continued' | 'again';
  /** logit(up) − logit(down) of the probe. */
  readonly probe?: number;
}

/** What the drafts saved. */
export interface DraftStats {
  runs: number;
  /** Runs that ended exactly as their first draft. */
  accepted: number;
  continued: number;
  again: number;
  /** Draft tokens checked, and those that were the greedy choice. */
  offeredTokens: number;
  acceptedTokens: number;
}

/** A patched run of one row of the batch. */
export interface PlacedRun {
  /** Index in the batch of rows. */
  readonly row: number;
  readonly run: PatchedRun;
}

/** Nothing counted yet. */
export function noStats(): DraftStats {
  return { runs: 0, accepted: 0, continued: 0, again: 0, offeredTokens: 0, acceptedTokens: 0 };
}
