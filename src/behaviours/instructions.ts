/** @file Reading instructions and answers: JSONL (also gzipped), JSON, Parquet, in the usual shapes, HH-RLHF dialogues among them. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { errorLine, InputError } from '../base/index.ts';

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
}

/**
 * Read instructions from `.jsonl`, `.jsonl.gz`, `.json` (an array) or `.parquet`. Shapes, tried in this order: `chosen`
 * (HH-RLHF: first human turn, first assistant answer), `messages` (first user, first assistant turn), `instruction` +
 * `input` + `output` (Alpaca), `prompt` + `response`, `question` + `answer`. Rows without text are dropped. Reads at
 * most `limit` rows (default all). Throws {@link InputError} naming the row.
 */
export async function readInstructions(
  path: string,
  options: { limit?: number } = {},
): Promise<Instruction[]> {
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  if (
    !(await stat(path).then(
      (s) => s.isFile(),
      () => false,
    ))
  )
    throw new InputError(`data: wanted a file of instructions at ${path}, found none`);
  const out: Instruction[] = [];
  let row = 0;
  for await (const record of recordsOf(path)) {
    row++;
    const instruction = toInstruction(record, `${path} row ${row}`);
    if (instruction.prompt !== '') out.push(instruction);
    if (out.length >= limit) break;
  }
  if (out.length === 0) throw new InputError(`data: ${path} holds no instruction`);
  return out;
}

/** First human turn and first assistant answer of an HH-RLHF dialogue; blank lines inside become single line ends. */
export function firstTurns(dialogue: string): { prompt: string; answer: string } {
  const [, human = ''] = /(?:^|\n\n)Human:([\s\S]*?)(?=\n\nAssistant:|$)/.exec(dialogue) ?? [];
  const [, assistant = ''] = /\n\nAssistant:([\s\S]*?)(?=\n\nHuman:|$)/.exec(dialogue) ?? [];
  return { prompt: human.replace(/\n{2,}/g, '\n').trim(), answer: assistant.trim() };
}

/** One record of any known shape as an instruction. `where` begins the error. */
export function toInstruction(record: unknown, where: string): Instruction {
  if (typeof record === 'object' && record !== null && !Array.isArray(record)) {
    const fields = record as Readonly<Record<string, unknown>>;
    for (const [field, read] of Object.entries(shapes))
      if (fields[field] !== undefined) {
        const { prompt, answer } = read(fields);
        if (prompt !== undefined)
          return { prompt: prompt.trim(), ...(answer?.trim() ? { answer: answer.trim() } : {}) };
      }
  }
  throw new InputError(
    `data: ${where}: wanted text under ${Object.keys(shapes).join(', ')}, got ${JSON.stringify(record)?.slice(0, 80)}`,
  );
}

interface Read {
  readonly prompt: string | undefined;
  readonly answer: string | undefined;
}
type Fields = Readonly<Record<string, unknown>>;

/** How each shape is read, by the field that gives it away. */
const shapes: Record<string, (fields: Fields) => Read> = {
  chosen: (f) =>
    typeof f.chosen === 'string' ? firstTurns(f.chosen) : { prompt: undefined, answer: undefined },
  messages: (f) => ({ prompt: turn(f.messages, 'user'), answer: turn(f.messages, 'assistant') }),
  instruction: (f) => {
    const instruction = string(f.instruction);
    const input = string(f.input)?.trim();
    return {
      prompt: instruction !== undefined && input ? `${instruction}\n${input}` : instruction,
      answer: string(f.output) ?? string(f.response),
    };
  },
  prompt: (f) => ({ prompt: string(f.prompt), answer: string(f.response) ?? string(f.answer) }),
  question: (f) => ({ prompt: string(f.question), answer: string(f.answer) ?? string(f.response) }),
};

function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function turn(messages: unknown, role: string): string | undefined {
  if (!Array.isArray(messages)) return undefined;
  const found = (messages as { role?: unknown; content?: unknown }[]).find((m) => m?.role === role);
  return string(found?.content);
}

async function* recordsOf(path: string): AsyncGenerator<unknown> {
  if (path.endsWith('.parquet')) {
    yield* await parquetReadObjects({ file: await asyncBufferFromFile(path) }).catch((cause: unknown) => {
      throw new InputError(`data: ${path} is no Parquet file that can be read`, { cause });
    });
    return;
  }
  if (path.endsWith('.json')) {
    const value = parse(await readFile(path, 'utf8'), path);
    if (!Array.isArray(value)) throw new InputError(`data: ${path}: wanted a JSON array of rows`);
    yield* value;
    return;
  }
  yield* jsonLines(path);
}

/** Records of a JSONL file, gzipped when it ends in `.gz`; empty lines are skipped, memory holds one line. */
export async function* jsonLines(path: string): AsyncGenerator<unknown> {
  const file = createReadStream(path);
  const bytes = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  file.on('error', (error) => bytes.destroy(error));
  let line = 0;
  try {
    for await (const text of createInterface({ input: bytes, crlfDelay: Number.POSITIVE_INFINITY })) {
      line++;
      if (text.trim() !== '') yield parse(text, `${path} line ${line}`);
    }
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`data: ${path} cannot be read behind line ${line}`, { cause });
  } finally {
    file.destroy();
  }
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InputError(`data: ${where}: no JSON (${errorLine(error)})`);
  }
}
