/** @file Contrast pairs of a file: `{positive, negative}`, or the multiple-choice layout of contrastive activation addition (CAA). */
import { InputError, showText } from '../../base/index.ts';
import { recordsOf } from './records.ts';

/** Two texts that differ in one thing; with `question`, two answers to it. */
export interface PairRow {
  /** The row's `id`, else its number from 1. */
  readonly id: string;
  readonly question?: string;
  readonly positive: string;
  readonly negative: string;
  /** Of two prompts: what may stand after either. */
  readonly answers?: ChoiceAnswers | undefined;
}

/** Two answers between which a model chooses. */
export interface ChoiceAnswers {
  /** Shows the behaviour. */
  readonly behaviour: string;
  readonly other: string;
}

/** Fields of a layout: positive, negative, and what both answer. */
const LAYOUTS = [
  { positive: 'positive', negative: 'negative', question: undefined },
  // N. Rimsky et al., 2024, "Steering Llama 2 via Contrastive Activation Addition"
  {
    positive: 'answer_matching_behavior',
    negative: 'answer_not_matching_behavior',
    question: 'question',
  },
] as const;

/**
 * Read pairs of a JSONL (.gz), JSON or Parquet file; at most `limit` (default all).
 *
 * @throws InputError naming the row for one of neither layout, one whose texts are equal, and for a file without rows
 */
export async function readPairs(path: string, options: { limit?: number } = {}): Promise<PairRow[]> {
  const { limit = Number.POSITIVE_INFINITY } = options;
  const pairs: PairRow[] = [];
  let number = 0;
  for await (const { value, where } of recordsOf(path)) {
    if (pairs.length >= limit) break;
    number++;
    pairs.push(pairOf(value, where, number));
  }
  if (pairs.length === 0) throw new InputError(`pairs: ${path} holds no row`, { id: 'data-missing' });
  return pairs;
}

function pairOf(value: unknown, where: string, number: number): PairRow {
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  const layout = LAYOUTS.find(({ positive, negative }) => positive in fields || negative in fields);
  if (layout === undefined)
    throw new InputError(
      `pairs: ${where}: wanted texts under positive and negative (or question, answer_matching_behavior, answer_not_matching_behavior), got ${showText(Object.keys(fields).join(', ')) || 'no fields'}`,
      { id: 'data-invalid' },
    );
  const text = (field: string): string => {
    const found = fields[field];
    if (typeof found === 'string' && found.trim() !== '') return found;
    throw new InputError(`pairs: ${where}: wanted text under ${field}`, { id: 'data-invalid' });
  };
  const positive = text(layout.positive);
  const negative = text(layout.negative);
  if (positive === negative)
    throw new InputError(
      `pairs: ${where}: ${layout.positive} and ${layout.negative} are the same text; a pair must differ`,
      { id: 'data-invalid' },
    );
  const [prompts, questions] = LAYOUTS;
  const hasAnswers = layout === prompts && (questions.positive in fields || questions.negative in fields);
  const answers = hasAnswers
    ? { behaviour: text(questions.positive), other: text(questions.negative) }
    : undefined;
  const { id } = fields;
  return {
    id: typeof id === 'string' || typeof id === 'number' ? String(id) : String(number),
    positive,
    negative,
    question: layout.question && text(layout.question),
    answers,
  };
}
