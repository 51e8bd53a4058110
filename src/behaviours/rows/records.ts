/** @file The records of a data file, whatever its format: JSONL (also gzipped), JSON, Parquet. */
import { open, stat } from 'node:fs/promises';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import {
  InputError,
  isLfsPointer,
  LFS_NEXT,
  parseJson,
  readTextFile,
  showValue,
  textLines,
} from '../../base/index.ts';

/** One record, and where it stands for error messages. */
interface FileRecord {
  readonly value: unknown;
  /** `data.jsonl line 3` or `data.json row 3`. */
  readonly where: string;
}

const NEXT = 'mend or remove the line';

/** Keys under which a JSON object keeps its rows, as exported by tools that wrap them. */
const WRAPPERS = ['data', 'rows', 'train', 'instances', 'examples'] as const;

/**
 * Records of `.parquet`, `.json` (an array, an object with the array under `data`, `rows`, `train`, `instances` or `examples`, or
 * lines of JSON under a wrong name), and of anything else as JSONL. Empty lines are skipped.
 *
 * @throws InputError naming file and line
 */
export async function* recordsOf(path: string): AsyncGenerator<FileRecord> {
  await wantFile(path);
  if (path.endsWith('.parquet')) yield* numbered(await parquetRows(path), path);
  else if (path.endsWith('.json')) yield* await jsonRecords(path);
  else yield* jsonLines(path);
}

/** Records of a JSONL file, gzipped when it ends in `.gz`. Memory holds one line. */
export async function* jsonLines(path: string): AsyncGenerator<FileRecord> {
  for await (const { text, number } of textLines(path)) {
    const where = `${path} line ${number}`;
    if (text.trim() !== '') yield { value: parseJson(text, where, { next: NEXT }), where };
  }
}

async function jsonRecords(path: string): Promise<Iterable<FileRecord> | AsyncIterable<FileRecord>> {
  const text = await readTextFile(path);
  const first = text.trimStart()[0];
  const lines = text.split('\n', 3).map((line) => line.trim());
  // `{…}` newline `{…}`: JSON lines in a file called .json, as many exports write them
  if (first === '{' && lines[0]?.endsWith('}') && lines[1]?.startsWith('{')) return jsonLines(path);
  const value = parseJson(text, path);
  if (Array.isArray(value)) return numbered(value, path);
  const fields = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  for (const name of WRAPPERS) if (Array.isArray(fields[name])) return numbered(fields[name], path);
  if (text.trimEnd().indexOf('\n') < 0 && first === '{') return numbered([value], path);
  throw new InputError(`${path}: wanted a JSON array of rows, got ${showValue(value)}`, {
    id: 'data-invalid',
  });
}

function* numbered(values: readonly unknown[], path: string): Generator<FileRecord> {
  for (const [i, value] of values.entries()) yield { value, where: `${path} row ${i + 1}` };
}

async function parquetRows(path: string): Promise<Record<string, unknown>[]> {
  if (isLfsPointer(await firstBytes(path)))
    throw new InputError(`${path}: wanted a Parquet file, got a Git LFS pointer; ${LFS_NEXT}`, {
      id: 'data-invalid',
    });
  return parquetReadObjects({ file: await asyncBufferFromFile(path) }).catch((cause: unknown) => {
    throw new InputError(`${path}: is not a Parquet file that can be read`, { id: 'file-unreadable', cause });
  });
}

async function firstBytes(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(new Uint8Array(64), 0, 64, 0);
  return buffer.subarray(0, bytesRead);
}

async function wantFile(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile())
    throw new InputError(`data: wanted a file of rows at ${path}, found none`, { id: 'file-unreadable' });
}
