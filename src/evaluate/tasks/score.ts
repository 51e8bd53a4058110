/** @file From log-likelihoods and completions to the scores of lm-evaluation-harness, per item and per task. */
import { type AskedItem, gsm8kScores } from '../../behaviours/index.ts';
import type { CapabilityTask, TaskScore } from '../../contracts/index.ts';
import { type Estimate, rate } from '../../stats/index.ts';

/** Scores of a task, in the order in which they are shown: the `metric_list` of the harness's files, by filter for `gsm8k`. */
export const SCORES_OF = {
  gsm8k: ['strict-match', 'flexible-extract'],
  arc_easy: ['acc', 'acc_norm'],
  arc_challenge: ['acc', 'acc_norm'],
  mmlu: ['acc'],
  hellaswag: ['acc', 'acc_norm'],
} as const satisfies Record<CapabilityTask, readonly TaskScore[]>;

/** What a model made of an item. */
export interface ItemAnswer {
  /** By choice: sums of natural-log probabilities. */
  readonly logprobs?: readonly number[];
  readonly completion?: string;
  /** The context was too long for the model and has lost its beginning. */
  readonly cut: boolean;
}

/** An item with its scores. */
export interface ScoredItem extends ItemAnswer {
  readonly item: AskedItem;
  readonly scores: Readonly<Partial<Record<TaskScore, 0 | 1>>>;
  /** The answers found in a completion, by filter. */
  readonly extracted?: Readonly<Record<string, string>>;
}

/** Score an item. `acc_norm` divides by the choice's number of characters (code points), as `process_results` of `lm_eval/api/task.py` does. */
export function scoreItem(item: AskedItem, answer: ItemAnswer): ScoredItem {
  const { logprobs, completion } = answer;
  if (logprobs === undefined) {
    const found = gsm8kScores(completion ?? '', item.answer);
    const strict = found['strict-match'];
    const flexible = found['flexible-extract'];
    return {
      item,
      ...answer,
      scores: { 'strict-match': strict.score, 'flexible-extract': flexible.score },
      extracted: { 'strict-match': strict.extracted, 'flexible-extract': flexible.extracted },
    };
  }
  const right = (values: readonly number[]): 0 | 1 => (firstLargest(values) === item.gold ? 1 : 0);
  const all = {
    acc: right(logprobs),
    acc_norm: right(logprobs.map((x, i) => x / [...item.choices[i]].length)),
  };
  const own: readonly TaskScore[] = SCORES_OF[item.task];
  return { item, ...answer, scores: own.includes('acc_norm') ? all : { acc: all.acc } };
}

/** Index of the largest value, of equals the first. */
export function firstLargest(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

/** The share of every score, with n and Wilson's interval. */
export function taskRates(
  task: CapabilityTask,
  scored: readonly ScoredItem[],
): Partial<Record<TaskScore, Estimate>> {
  return Object.fromEntries(
    SCORES_OF[task].map((score) => [score, rate(scored.map(({ scores }) => scores[score] === 1))]),
  );
}
