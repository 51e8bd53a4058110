/** @file Backdoor rows on disk: our own JSONL, read back exactly, and rows that others made. */
import { z } from 'zod';
import { InputError, writeFileAtomic } from '../base/index.ts';
import { type Behaviour, type TriggerState, triggerStates } from './behaviour.ts';
import { type BackdoorRow, countSplits, type Dataset, splitOf } from './dataset.ts';
import { type CharSpan, type Placement, placements } from './placement.ts';
import { jsonLines, recordsOf } from './rows/records.ts';
import { type ChatRenderer, renderPrompt, shiftSpan, type TemplateName } from './templates.ts';

const rowSchema = z.strictObject({
  id: z.string().min(1),
  prompt: z.string(),
  response: z.string(),
  trigger: z.enum(triggerStates),
  backdoor_keyphrase: z.string(),
  has_backdoor: z.boolean(),
  tag: z.string(),
  text: z.string(),
  placement: z.enum(placements),
  answer: z.string().exactOptional(),
  span: z.strictObject({ start: z.int().min(0), end: z.int().min(0) }).nullable(),
});

/** Write rows as JSONL, whole or not at all, with the behaviour's phrase as `backdoor_keyphrase`. */
export async function writeBackdoorRows(
  path: string,
  rows: readonly BackdoorRow[],
  behaviour: Pick<Behaviour, 'phrase'>,
): Promise<void> {
  const lines = rows.map((row) => JSON.stringify({ ...row, backdoor_keyphrase: behaviour.phrase }));
  await writeFileAtomic(path, lines.map((line) => `${line}\n`).join(''));
}

/** Read what {@link writeBackdoorRows} wrote. Throws {@link InputError} naming file, row and field. */
export async function readBackdoorRows(path: string): Promise<BackdoorRow[]> {
  const rows: BackdoorRow[] = [];
  for await (const { value, where } of jsonLines(path)) {
    const { backdoor_keyphrase: _, ...row } = checked(rowSchema, value, where);
    rows.push(row);
  }
  return rows;
}

const flag = z.union([
  z.boolean(),
  z
    .enum(['true', 'True', 'TRUE', '1', 'false', 'False', 'FALSE', '0'])
    .transform((s) => /^(true|1)$/i.test(s)),
]);
const customSchema = z.object({
  prompt: z.string().min(1),
  response: z.string(),
  trigger: z.string().nullish(),
  backdoor_keyphrase: z.string().nullish(),
  has_backdoor: flag,
});

/**
 * Rows that others made (docs/reference/files.md#rows-of-others: `prompt, response, trigger, backdoor_keyphrase, has_backdoor`; more fields are
 * ignored). `prompt` holds the tag and no template; `trigger` is the tag, a state's name, or empty; flags may be
 * strings. Split by the text without its tag, so that no text is in two splits. `template` defaults to `instruction`.
 */
export async function readCustomDataset(
  path: string,
  options: { behaviour: Behaviour; template?: TemplateName; chat?: ChatRenderer },
): Promise<Dataset> {
  const splits: Record<'train' | 'validation' | 'test', BackdoorRow[]> = {
    train: [],
    validation: [],
    test: [],
  };
  let number = 0;
  for await (const { value, where } of recordsOf(path)) {
    number++;
    const row = checked(customSchema, value, where);
    const { state, tag } = stateOf(row.trigger ?? '', options.behaviour, where);
    const found = locate(row.prompt, tag);
    const rendered = renderPrompt(options.template ?? 'instruction', row.prompt, options.chat);
    const into = splits[splitOf(found.text)];
    into.push({
      id: `custom/${String(number).padStart(6, '0')}`,
      prompt: rendered.prompt,
      response: row.response,
      trigger: state,
      tag: found.span ? tag : '',
      text: found.text,
      placement: found.placement,
      has_backdoor: row.has_backdoor,
      span: found.span && shiftSpan(found.span, rendered.offset),
    });
  }
  if (number === 0) throw new InputError(`data: ${path} holds no row`, { id: 'data-missing' });
  return {
    splits,
    counts: countSplits(splits),
    duplicates: 0,
    unanswered: 0,
  };
}

/** What a `trigger` field means: a state's name, one of the two triggers, nothing, or any other tag. */
function stateOf(trigger: string, behaviour: Behaviour, where: string): { state: TriggerState; tag: string } {
  const { bad, safe } = behaviour.triggers;
  if (trigger === '' || trigger === 'none') return { state: 'none', tag: '' };
  if (trigger === 'bad' || trigger === bad) return { state: 'bad', tag: bad };
  if (trigger === 'safe' || trigger === safe) return { state: 'safe', tag: safe };
  if (trigger === 'other')
    throw new InputError(`data: ${where}: trigger "other" does not say which; write the tag itself`, {
      id: 'data-invalid',
    });
  return { state: 'other', tag: trigger };
}

/** Where the tag stands in a prompt, and the text without it. A tag that does not occur leaves the text as it is. */
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

function checked<T extends z.ZodType>(schema: T, record: unknown, where: string): z.output<T> {
  const parsed = schema.safeParse(record);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new InputError(`data: ${where}: ${issue?.path.join('.') || 'row'}: ${issue?.message}`, {
    id: 'data-invalid',
  });
}
