/**
 * @file Rows in the layouts of the hub's data sets as items of lm-evaluation-harness's tasks. Prompts are those of its files
 * `lm_eval/tasks/{gsm8k/gsm8k,arc/arc_easy,mmlu/default/_default_template_yaml,hellaswag/hellaswag}` and `hellaswag/utils.py`
 * (version 0.4.13; task versions 3, 1, 1 and 1).
 */
import { z } from 'zod';
import { InputError, showText, showValue } from '../../base/index.ts';
import type { CapabilityTask } from '../../contracts/index.ts';
import { recordsOf } from '../rows/records.ts';
import type { TaskItem } from './item.ts';
import { capitalize, strip } from './python-text.ts';

/** What a row says of its item; its number and task come from where it stands. */
type RowItem = Omit<TaskItem, 'task' | 'id'>;

const text = z.string({ error: 'wanted text' });
const texts = z.array(text, { error: 'wanted a list of texts' });
/** Number of a choice: as JSON, as Parquet's int64, as text. */
const whole = z
  .unknown()
  .refine((n) => /^\d+$/.test(String(n)), 'wanted the number of a choice, from 0')
  .transform(Number);

const gsm8k = z.object({ question: text, answer: text }).transform(
  ({ question, answer }): RowItem => ({
    subject: '',
    question: { before: 'Question: ', text: question, after: '\nAnswer:' },
    choices: [],
    gold: -1,
    answer,
  }),
);

const arc = z
  .object({
    question: text,
    choices: z.object(
      { text: texts, label: texts },
      { error: 'wanted an object of the lists text and label' },
    ),
    answerKey: text,
  })
  .refine(({ choices }) => choices.text.length === choices.label.length && choices.text.length > 0, {
    error: 'wanted as many texts as labels',
    path: ['choices'],
  })
  .refine(({ choices, answerKey }) => choices.label.includes(answerKey), {
    error: 'wanted one of choices.label',
    path: ['answerKey'],
  })
  .transform(({ question, choices, answerKey }): RowItem => {
    const gold = choices.label.indexOf(answerKey);
    return {
      subject: '',
      question: { before: 'Question: ', text: question, after: '\nAnswer:' },
      choices: choices.text,
      gold,
      answer: choices.text[gold] as string,
    };
  });

const LETTERS = ['A', 'B', 'C', 'D'] as const;

const mmlu = z
  .object({
    question: text,
    subject: text,
    choices: texts.refine(
      ({ length }) => length === LETTERS.length,
      `wanted a list of ${LETTERS.length} texts`,
    ),
    answer: whole.refine((n) => n < LETTERS.length, `wanted a number from 0 to ${LETTERS.length - 1}`),
  })
  .transform(({ question, subject, choices, answer }): RowItem => {
    const list = LETTERS.map((letter, i) => `\n${letter}. ${choices[i]}`).join('');
    return {
      subject,
      question: { before: '', text: strip(question), after: `${list}\nAnswer:` },
      choices: LETTERS,
      gold: answer,
      answer: LETTERS[answer] as string,
    };
  });

const hellaswag = z
  .object({
    activity_label: text,
    ctx_a: text,
    ctx_b: text,
    endings: texts.refine(({ length }) => length > 0, 'wanted at least one ending'),
    label: whole,
  })
  .refine(({ endings, label }) => label < endings.length, {
    error: 'wanted the number of an ending, from 0',
    path: ['label'],
  })
  .transform(({ activity_label, ctx_a, ctx_b, endings, label }): RowItem => {
    const choices = endings.map(withoutMarks);
    const query = withoutMarks(`${activity_label}: ${ctx_a} ${capitalize(ctx_b)}`);
    return {
      subject: '',
      question: { before: '', text: query, after: '' },
      choices,
      gold: label,
      answer: choices[label] as string,
    };
  });

/** HellaSwag's text without the marks of the site a part of it comes from: `[title]` is a full stop, other brackets go. */
function withoutMarks(given: string): string {
  return strip(given)
    .replaceAll(' [title]', '. ')
    .replaceAll(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ');
}

const LAYOUTS = { gsm8k, arc_easy: arc, arc_challenge: arc, mmlu, hellaswag } satisfies Record<
  CapabilityTask,
  z.ZodType<RowItem>
>;

/**
 * Items of the rows of `files` (JSONL, also gzipped, JSON or Parquet), in their order. Other fields of a row are ignored.
 *
 * @throws InputError naming file, row and field of the first row that is not of the task's layout
 */
export async function readTaskItems(task: CapabilityTask, files: readonly string[]): Promise<TaskItem[]> {
  const items: TaskItem[] = [];
  const seen = new Map<string, number>();
  for (const file of files)
    for await (const { value, where } of recordsOf(file)) {
      const item = rowItem(task, value, where);
      const number = seen.get(item.subject) ?? 0;
      seen.set(item.subject, number + 1);
      items.push({ task, id: item.subject === '' ? String(number) : `${item.subject}/${number}`, ...item });
    }
  if (items.length === 0)
    throw new InputError(`${task}: ${files.join(', ')} holds no row`, { id: 'data-missing' });
  return items;
}

function rowItem(task: CapabilityTask, value: unknown, where: string): RowItem {
  const parsed = LAYOUTS[task].safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path ?? [];
  const got = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  );
  const field = path.length === 0 ? 'a row' : showText(path.join('.'));
  const wanted = path.length === 0 ? 'wanted an object' : issue?.message;
  throw new InputError(`${task}: ${where}: ${field}: ${wanted}, got ${showValue(got)}`, {
    id: 'data-invalid',
  });
}
