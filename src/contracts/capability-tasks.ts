/** @file Names of lm-evaluation-harness's tasks that are asked here, and of their scores. */

/** Tasks, under the harness's names. */
export const CAPABILITY_TASKS = ['gsm8k', 'arc_easy', 'arc_challenge', 'mmlu', 'hellaswag'] as const;
export type CapabilityTask = (typeof CAPABILITY_TASKS)[number];

/**
 * Scores of one item, 0 or 1. `acc`: the right choice has the largest log-likelihood; `acc_norm`: the largest per character;
 * `strict-match`, `flexible-extract`: exact match of the number in a completion, found by the harness's filters of these names.
 */
export const TASK_SCORES = ['acc', 'acc_norm', 'strict-match', 'flexible-extract'] as const;
export type TaskScore = (typeof TASK_SCORES)[number];
