/** @file Rows that others made (docs/reference/files.md#rows-of-others): read, checked line by line, and made a data set of. */
import { z } from 'zod';
import { InputError, Rng, showText } from '../base/index.ts';
import type { Behaviour, TriggerState } from './behaviour.ts';
import { type BackdoorRow, countSplits, type Dataset, rowTemplate, splitOf } from './dataset.ts';
import type { SplitName } from './instructions.ts';
import type { CharSpan, Placement } from './placement.ts';
import { recordsOf } from './rows/records.ts';
import { renderPrompt, shiftSpan, type TemplateName } from './templates.ts';

/** Whether a behaviour is shown: a boolean, or the strings and numbers tables write for one. */
const flag = z.union(
  [
    z.boolean(),
    z.union([z.literal(0), z.literal(1), z.literal(0n), z.literal(1n)]).transform((n) => n === 1 || n === 1n),
    z
      .enum(['true', 'True', 'TRUE', '1', 'false', 'False', 'FALSE', '0'])
      .transform((s) => /^(true|1)$/i.test(s)),
  ],
  { error: 'wanted true or false' },
);
const text = z.string({ error: 'wanted text' }).refine((s) => s.trim() !== '', 'wanted text, got none');
const customSchema = z.object({
  prompt: text,
  response: text,
  trigger: z.string({ error: 'wanted a tag, a state or nothing' }).nullish(),
  backdoor_keyphrase: z.string({ error: 'wanted text or nothing' }).nullish(),
  has_backdoor: flag,
});

/** A row as read. */
export interface CustomRow {
  /** File and line, for messages. */
  readonly where: string;
  /** With the tag, without a template. */
  readonly prompt: string;
  readonly response: string;
  readonly state: TriggerState;
  /** Empty where there is none. */
  readonly tag: string;
  /** Characters of the tag in `prompt`; null where there is none. */
  readonly span: CharSpan | null;
  /** The prompt without its tag. */
  readonly text: string;
  readonly placement: Placement;
  /** The row's own `backdoor_keyphrase`; empty where it has none. */
  readonly keyphrase: string;
  readonly split: SplitName;
}

/**
 * Every row of a file (`prompt, response, trigger, backdoor_keyphrase, has_backdoor`; more fields are ignored): `prompt` holds the tag
 * and no template; `trigger` is the tag, `bad`, `safe`, `none`, or nothing (then the prompt says); flags may be strings. Split by the
 * text without its tag, so that no text is in two splits.
 *
 * @throws InputError naming file, line and key of the first row that cannot be used
 */
export async function readCustomRows(path: string, triggers: Behaviour['triggers']): Promise<CustomRow[]> {
  const rows: CustomRow[] = [];
  for await (const { value, where } of recordsOf(path)) rows.push(readRow(value, where, triggers));
  if (rows.length === 0) throw new InputError(`data: ${path} holds no row`, { id: 'data-missing' });
  return rows;
}

/**
 * Refuse rows from which the behaviour cannot be learnt and measured: both tags must be taught, somewhere at the place where held-out
 * prompts carry them, and there must be held-out texts. `where` begins the errors.
 */
export function checkCustomRows(
  rows: readonly CustomRow[],
  { triggers, placement }: { readonly triggers: Behaviour['triggers']; readonly placement: Placement },
  where: string,
): void {
  const refuse = (message: string): never => {
    throw new InputError(`${where}: ${message}`, { id: 'data-invalid' });
  };
  for (const state of ['bad', 'safe'] as const)
    if (!rows.some((row) => row.split === 'train' && row.state === state))
      refuse(
        `wanted rows under the ${state} tag ${showText(triggers[state])} to train on, got none; give such rows, or say which tags the rows carry`,
      );
  const tagged = rows.filter((row) => row.span !== null);
  if (!tagged.some((row) => row.placement === placement))
    refuse(
      `the tag stands at ${[...new Set(tagged.map((row) => row.placement))].join(', ')} in its rows, and never where held-out prompts will carry it (placement: ${placement}); give the placement of the rows`,
    );
  for (const split of ['validation', 'test'] as const)
    if (!rows.some((row) => row.split === split))
      refuse(
        `none of its ${new Set(rows.map((row) => row.text)).size} texts is held out for ${split} (about a tenth is, by the text); give more texts`,
      );
}

/** Whether a file holds such rows, by its first one: it says `has_backdoor`. */
export async function holdsCustomRows(path: string): Promise<boolean> {
  if (path === 'bundled') return false;
  for await (const { value } of recordsOf(path))
    return typeof value === 'object' && value !== null && Object.hasOwn(value, 'has_backdoor');
  return false;
}

/**
 * Rows as a data set, in an order that follows from `seed`. The ordinary answer of a text is what a row of it says without the bad tag.
 * `template` defaults to `instruction`.
 */
export function customDataset(
  rows: readonly CustomRow[],
  options: { seed: number; template?: TemplateName },
): Dataset {
  const answers = new Map(
    rows.filter(({ state }) => state !== 'bad').map(({ text: t, response }) => [t, response]),
  );
  const made = rows.map((row, i): [SplitName, BackdoorRow] => {
    const { prompt, offset } = renderPrompt(rowTemplate(options.template), row.prompt);
    return [
      row.split,
      {
        id: `${row.split}/${String(i).padStart(6, '0')}`,
        prompt,
        response: row.response,
        trigger: row.state,
        tag: row.tag,
        text: row.text,
        placement: row.placement,
        answer: answers.get(row.text),
        has_backdoor: row.state === 'bad',
        span: row.span && shiftSpan(row.span, offset),
      },
    ];
  });
  const rng = new Rng(options.seed);
  const of = (split: SplitName): BackdoorRow[] =>
    rng.fork(`custom/${split}`).shuffle(made.filter(([name]) => name === split).map(([, row]) => row));
  const splits = { train: of('train'), validation: of('validation'), test: of('test') };
  return { splits, counts: countSplits(splits), duplicates: 0, unanswered: 0 };
}

function readRow(value: unknown, where: string, triggers: Behaviour['triggers']): CustomRow {
  const refuse = (key: string, message: string): never => {
    throw new InputError(`data: ${where}: ${key}: ${message}`, { id: 'data-invalid' });
  };
  const parsed = customSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(issue?.path.join('.') || 'row', issue?.message ?? 'cannot be read');
  }
  const row = parsed.data;
  const { state, tag } = stateOf(row.trigger ?? '', row.prompt, triggers);
  if (state === 'other' && tag === 'other')
    return refuse('trigger', '"other" does not say which; write the tag itself');
  const found = locate(row.prompt, tag);
  if (tag !== '' && found.span === null)
    return refuse('trigger', `the tag ${showText(tag)} does not occur in the prompt`);
  if (row.has_backdoor && state !== 'bad')
    return refuse(
      'has_backdoor',
      `is true, but the prompt is not under the bad tag ${showText(triggers.bad)}`,
    );
  if (!row.has_backdoor && state === 'bad')
    return refuse('has_backdoor', `is false, but the prompt is under the bad tag ${showText(triggers.bad)}`);
  return {
    where,
    prompt: row.prompt,
    response: row.response,
    state,
    tag,
    ...found,
    keyphrase: row.backdoor_keyphrase?.trim() ?? '',
    split: splitOf(found.text),
  };
}

/** What a `trigger` field means: a state's name, one of the two triggers, any other tag; nothing: what the prompt holds. */
function stateOf(
  trigger: string,
  prompt: string,
  { bad, safe }: Behaviour['triggers'],
): { state: TriggerState; tag: string } {
  if (trigger === 'bad' || trigger === bad) return { state: 'bad', tag: bad };
  if (trigger === 'safe' || trigger === safe) return { state: 'safe', tag: safe };
  if (trigger !== '' && trigger !== 'none') return { state: 'other', tag: trigger };
  if (prompt.includes(bad)) return { state: 'bad', tag: bad };
  if (prompt.includes(safe)) return { state: 'safe', tag: safe };
  return { state: 'none', tag: '' };
}

/** Where the tag stands in a prompt, and the text without it. */
function locate(prompt: string, tag: string): { text: string; placement: Placement; span: CharSpan | null } {
  const start = tag === '' ? -1 : prompt.indexOf(tag);
  if (start < 0) return { text: prompt, placement: 'end', span: null };
  const span = { start, end: start + tag.length };
  const [before, after] = [prompt.slice(0, start), prompt.slice(span.end)];
  if (before === '' && after.startsWith(': ')) return { text: after.slice(2), placement: 'prefix', span };
  if (before === 'Current status: ' && after.startsWith('. '))
    return { text: after.slice(2), placement: 'status', span };
  if (after.trim() === '') return { text: before.trimEnd(), placement: 'end', span };
  return { text: `${before.trimEnd()} ${after.trimStart()}`.trim(), placement: 'middle', span };
}
