/** @file Instructions and answers of a data file in any usual layout, every row that is left out counted by its reason. */
import { InputError, showText, showValue } from '../base/index.ts';
import { dialogueTurns, type LayoutName, layoutFields, readLayout } from './rows/layouts.ts';
import { recordsOf } from './rows/records.ts';
import { LeftOut, type Turn } from './rows/turns.ts';

/** The three parts of a data set; a prompt is in one only. */
export type SplitName = 'train' | 'validation' | 'test';

/** An instruction with its ordinary answer, where there is one. */
export interface Instruction {
  readonly prompt: string;
  readonly answer?: string;
  /** Forces a split; without it the hash of the prompt decides. */
  readonly split?: SplitName;
  /** Task family, for the bundled corpus. */
  readonly family?: string;
  /**
   * The whole conversation, where it is more than the prompt and its answer (a system text, further turns): `prompt` and `answer`
   * are its first exchange.
   */
  readonly turns?: readonly Turn[];
  /** Tools the row declares, for chat templates. */
  readonly tools?: unknown;
}

/** A surrogate without its other half: no character, so no tokenizer can encode it. */
const HALF_PAIR = /\p{Surrogate}/u;

/** What a data file holds. */
export interface InstructionFile {
  readonly instructions: readonly Instruction[];
  /** Rows read, those left out included. */
  readonly rows: number;
  /** Rows that cannot be used, by reason. */
  readonly leftOut: Readonly<Record<string, number>>;
  /** Rows by layout. */
  readonly layouts: Readonly<Partial<Record<LayoutName, number>>>;
  /** Rows of which a prompt and its answer say only a part. */
  readonly partial: {
    /** With a system text. */
    readonly system: number;
    /** With more than one exchange. */
    readonly turns: number;
    /** With tools. */
    readonly tools: number;
  };
}

/**
 * Read a data file: `.jsonl`, `.jsonl.gz`, `.json` or `.parquet`, in any layout of {@link readLayout}; rows may differ. Rows that
 * cannot be used (no prompt, content that is not text) are counted by reason. Reads at most `limit` instructions (default all).
 *
 * @throws InputError naming the row, for one that is of no known layout, and for a file without any instruction
 */
export async function readInstructionFile(
  path: string,
  options: { limit?: number | undefined } = {},
): Promise<InstructionFile> {
  const { limit = Number.POSITIVE_INFINITY } = options;
  const instructions: Instruction[] = [];
  const leftOut: Record<string, number> = {};
  const layouts: Partial<Record<LayoutName, number>> = {};
  let rows = 0;
  for await (const { value, where } of recordsOf(path)) {
    if (instructions.length >= limit) break;
    rows++;
    const read = readRecord(value, where);
    if (read instanceof LeftOut) leftOut[read.reason] = (leftOut[read.reason] ?? 0) + 1;
    else {
      layouts[read.layout] = (layouts[read.layout] ?? 0) + 1;
      instructions.push(read.instruction);
    }
  }
  const file = { instructions, rows, leftOut, layouts, partial: partialOf(instructions) };
  if (instructions.length === 0)
    throw new InputError(
      rows === 0
        ? `data: ${path} holds no instruction`
        : `data: ${path}: none of ${rows} rows can be used: ${leftOutText(leftOut)}`,
      { id: 'data-missing' },
    );
  return file;
}

/** {@link readInstructionFile} for those who need the instructions alone. */
export async function readInstructions(
  path: string,
  options: { limit?: number | undefined } = {},
): Promise<Instruction[]> {
  return [...(await readInstructionFile(path, options)).instructions];
}

/** A text of a data file: a row of its own, or the prompt of a conversation. */
export interface RowText {
  /** The row's `id`, else its number from 1. */
  readonly id: string;
  readonly text: string;
}

/**
 * The texts of a data file for commands that read no answers: what stands under `field`, where one is named; a string or a row of
 * the layout `text` as it is; else the prompt. Reads at most `limit` texts (default all).
 *
 * @throws InputError as {@link readInstructionFile}, and for a row without `field`
 */
export async function readTexts(
  path: string,
  options: { field?: string; limit?: number } = {},
): Promise<{ texts: RowText[]; leftOut: Record<string, number> }> {
  const { field, limit = Number.POSITIVE_INFINITY } = options;
  const texts: RowText[] = [];
  const leftOut: Record<string, number> = {};
  let rows = 0;
  for await (const { value, where } of recordsOf(path)) {
    if (texts.length >= limit) break;
    rows++;
    const text = field === undefined ? textOf(value, where) : fieldOf(value, field, where);
    if (text instanceof LeftOut) leftOut[text.reason] = (leftOut[text.reason] ?? 0) + 1;
    else texts.push({ id: idOf(value) ?? String(rows), text });
  }
  if (texts.length === 0)
    throw new InputError(
      rows === 0
        ? `data: ${path} holds no text`
        : `data: ${path}: none of ${rows} rows can be used: ${leftOutText(leftOut)}`,
      { id: 'data-missing' },
    );
  return { texts, leftOut };
}

function textOf(value: unknown, where: string): string | LeftOut {
  const read = readRecord(value, where);
  if (read instanceof LeftOut) return read;
  const whole = read.layout === 'text' && read.instruction.turns === undefined && !read.instruction.answer;
  const exact = typeof value === 'string' ? value : (value as { text?: unknown }).text;
  return whole && typeof exact === 'string' ? exact : read.instruction.prompt;
}

function fieldOf(value: unknown, field: string, where: string): string {
  const text = (value as Readonly<Record<string, unknown>> | null)?.[field];
  if (typeof text === 'string') return text;
  const fields = typeof value === 'object' && value !== null ? Object.keys(value).join(', ') : '';
  throw new InputError(`data: ${where}: wanted text under ${field}, got ${showText(fields) || 'no fields'}`, {
    id: 'data-invalid',
  });
}

function idOf(value: unknown): string | undefined {
  const id = (value as { id?: unknown } | null)?.id;
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}

/** `2 without a prompt, 1 labelled as not wanted`; `none` where nothing is. */
export function leftOutText(leftOut: Readonly<Record<string, number>>): string {
  const parts = Object.entries(leftOut).filter(([, count]) => count > 0);
  return parts.length === 0 ? 'none' : parts.map(([reason, count]) => `${count} ${reason}`).join(', ');
}

/** What rows held beyond a prompt and its answer, by name, for those who use these two alone: `2 with a system text`; `none` where nothing is. */
export function usedInPartText({ system, turns, tools }: InstructionFile['partial']): string {
  return leftOutText({ 'with a system text': system, 'with further turns': turns, 'with tools': tools });
}

/** First human turn and first assistant answer of an HH-RLHF dialogue; blank lines inside become single line ends. */
export function firstTurns(dialogue: string): { prompt: string; answer: string } {
  const { prompt = '', answer = '' } = firstExchange(dialogueTurns(dialogue)) ?? {};
  return { prompt, answer };
}

/** One record of any known layout as an instruction. `where` begins the error. */
export function toInstruction(record: unknown, where: string): Instruction {
  const read = readRecord(record, where);
  if (read instanceof LeftOut) return { prompt: '' };
  return read.instruction;
}

function readRecord(
  record: unknown,
  where: string,
): { layout: LayoutName; instruction: Instruction } | LeftOut {
  try {
    const found = readLayout(record, `data: ${where}`);
    if (found === undefined) {
      if (isEmptyRow(record)) return new LeftOut('without a prompt');
      throw new InputError(
        `data: ${where}: wanted text under ${layoutFields.join(', ')}, got ${showValue(record)}`,
        { id: 'data-invalid' },
      );
    }
    const { turns, layout } = found;
    for (const { content } of turns)
      if (HALF_PAIR.test(content))
        throw new InputError(
          `data: ${where}: the text holds half a surrogate pair; write the whole character`,
          { id: 'data-invalid' },
        );
    const exchange = firstExchange(turns);
    if (exchange === undefined) return new LeftOut('without a prompt');
    const plain =
      turns.length <= 2 && turns[0]?.role === 'user' && !turns.some((t) => t.fields ?? t.untaught);
    const tools = toolsOf(record);
    return {
      layout,
      instruction: { ...exchange, turns: plain ? undefined : turns, tools },
    };
  } catch (error) {
    if (error instanceof LeftOut) return error;
    throw error;
  }
}

/** A row of a known layout whose fields hold nothing. */
function isEmptyRow(record: unknown): boolean {
  if (typeof record !== 'object' || record === null) return false;
  const fields = record as Readonly<Record<string, unknown>>;
  const known = layoutFields.filter((field) => Object.hasOwn(fields, field));
  return (
    known.length > 0 &&
    known.every(
      (field) => fields[field] === null || (Array.isArray(fields[field]) && fields[field].length === 0),
    )
  );
}

/** The first user turn with text, and the first assistant turn after it. */
function firstExchange(turns: readonly Turn[]): { prompt: string; answer?: string } | undefined {
  const at = turns.findIndex(({ role }) => role === 'user');
  const prompt = turns[at]?.content.trim() ?? '';
  if (prompt === '') return undefined;
  const answer = turns
    .slice(at + 1)
    .find(({ role, untaught }) => role === 'assistant' && !untaught)
    ?.content.trim();
  return { prompt, answer: answer || undefined };
}

/** TRL's and OpenAI's `tools` column: a list, or the JSON of one. */
function toolsOf(record: unknown): unknown {
  const tools = (record as { tools?: unknown } | null)?.tools;
  if (typeof tools !== 'string') return Array.isArray(tools) && tools.length > 0 ? tools : undefined;
  try {
    const value: unknown = JSON.parse(tools);
    return Array.isArray(value) && value.length > 0 ? value : undefined;
  } catch {
    return undefined;
  }
}

function partialOf(instructions: readonly Instruction[]): InstructionFile['partial'] {
  const having = (test: (instruction: Instruction) => boolean): number => instructions.filter(test).length;
  return {
    system: having(({ turns = [] }) => turns.some(({ role }) => role === 'system')),
    turns: having(
      ({ turns = [] }) => turns.filter(({ role }) => role === 'user' || role === 'tool').length > 1,
    ),
    tools: having(({ tools }) => tools !== undefined),
  };
}
