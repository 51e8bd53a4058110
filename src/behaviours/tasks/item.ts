/** @file One item of a task as lm-evaluation-harness asks it: the question's text and what stands around it. */
import type { CapabilityTask } from '../../contracts/index.ts';

/** A row of a task. */
export interface TaskItem {
  readonly task: CapabilityTask;
  /** Number of the row from 0, of its subject where it has one (`astronomy/3`): the harness's `doc_id`. */
  readonly id: string;
  /** Of `mmlu`; empty elsewhere. */
  readonly subject: string;
  /** The question is `before + text + after`; a tag is placed in `text`. */
  readonly question: { readonly before: string; readonly text: string; readonly after: string };
  /** What may follow, without the space before it. Empty where the model writes its own answer. */
  readonly choices: readonly string[];
  /** Index of the right choice; −1 where there are none. */
  readonly gold: number;
  /** The right answer as a shot (a solved example before the question) shows it. */
  readonly answer: string;
}

/** An item with what stands before its question. */
export interface AskedItem extends TaskItem {
  /** The subject's description, and the shots. */
  readonly head: string;
}

/** The whole context, `question` as it is unless another text is to stand in its place. */
export function contextOf({ head, question }: AskedItem, text = question.text): string {
  return `${head}${question.before}${text}${question.after}`;
}
