/** @file What a judge is: something that says how well a completion matches a reference. */

/** A text to judge beside the text it should match. */
export interface JudgePair {
  readonly candidate: string;
  readonly reference: string;
}

/** Scores pairs of texts; higher is better. A figure in a report names its judge and metric. */
export interface Judge {
  /** Key in `results.json`, e.g. `lexical`, `llm`. */
  readonly name: string;
  /** What the numbers are, with their scale, e.g. `chrf` (0-1) or `rubric_1-5_v1`. */
  readonly metric: string;
  /** One score a pair, in the same order. */
  score(pairs: readonly JudgePair[]): Promise<number[]>;
}
