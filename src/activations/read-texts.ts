/** @file Texts to capture from a JSONL file. */
import { readFile } from 'node:fs/promises';
import { InputError } from '../base/index.ts';

/** Fields looked for, in this order. */
const FIELDS = ['prompt', 'instruction', 'text', 'question'] as const;

/** A text and its id. */
export interface RawText {
  readonly id: string;
  readonly text: string;
}

/**
 * One text a line: a JSON string, or an object with one of `prompt`, `instruction`, `text`, `question` (or `field`). Its id is its
 * `id`, else the line number from 1. Empty lines are skipped. Errors name file and line.
 */
export async function readCaptureTexts(path: string, field?: string): Promise<RawText[]> {
  const content = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InputError(`${path}: cannot be read; check the path`, { id: 'file-unreadable', cause });
  });
  const texts = content.split('\n').flatMap((line, i): RawText[] => {
    if (line.trim() === '') return [];
    return [parseLine(line, `${path}:${i + 1}`, String(i + 1), field)];
  });
  if (texts.length === 0)
    throw new InputError(`${path}: holds no texts; wanted JSONL, one text a line`, { id: 'data-missing' });
  return texts;
}

function parseLine(line: string, where: string, number: string, field: string | undefined): RawText {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new InputError(`${where}: is not JSON; wanted one JSON value a line`, {
      id: 'json-invalid',
      cause,
    });
  }
  if (typeof value === 'string') return { id: number, text: value };
  const row = (value ?? {}) as Readonly<Record<string, unknown>>;
  const key = field ?? FIELDS.find((f) => typeof row[f] === 'string');
  const text = key === undefined ? undefined : row[key];
  if (typeof text !== 'string')
    throw new InputError(
      `${where}: wanted ${field ?? FIELDS.join(', ')} with a text, got ${Object.keys(row).join(', ') || 'no fields'}`,
      { id: 'data-invalid' },
    );
  return { id: typeof row.id === 'string' || typeof row.id === 'number' ? String(row.id) : number, text };
}
