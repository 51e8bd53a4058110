/** @file Text files from elsewhere: UTF-8 or an error that says where, a byte-order mark skipped, lines split at `\n` only. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errorLine, InputError } from './errors.ts';
import { isLfsPointer, LFS_NEXT } from './lfs.ts';

/** Largest file read whole, and largest line of a file read by line. */
const MAX_BYTES = 512 * 2 ** 20;
const MAX_LINE_BYTES = 64 * 2 ** 20;

const SAVE_AS_UTF8 = 'save the file as UTF-8';
const LF = 0x0a;
const CR = 0x0d;

/** Limits of {@link readTextFile} and {@link textLines}. */
interface TextLimits {
  /** Bytes of the file, or of a line. Defaults to 512 MiB, or 64 MiB. */
  readonly maxBytes?: number;
}

/** A line without its end, and its number from 1. */
interface TextLine {
  readonly text: string;
  readonly number: number;
}

/**
 * A whole file as text: UTF-8, a byte-order mark skipped.
 *
 * @throws InputError for a file that cannot be read, is too large, or is not UTF-8 (with line and byte)
 */
export async function readTextFile(path: string, limits: TextLimits = {}): Promise<string> {
  const { maxBytes = MAX_BYTES } = limits;
  try {
    await using file = await open(path);
    const info = await file.stat();
    if (info.size > maxBytes)
      throw new InputError(`${path}: wanted a text of at most ${maxBytes} bytes, got ${info.size}`, {
        id: 'data-invalid',
      });
    return decodeText(await file.readFile(), path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`${path}: cannot be read; check the path`, { id: 'file-unreadable', cause });
  }
}

/**
 * Bytes as text: UTF-8, a byte-order mark skipped. `where` begins the message, `next` ends it.
 *
 * @throws InputError with line and byte of the first byte that is not UTF-8, and for a Git LFS pointer
 */
export function decodeText(bytes: Uint8Array, where: string, next = SAVE_AS_UTF8): string {
  refuseUtf16(bytes, where);
  if (!isUtf8(bytes)) throw notUtf8(bytes, where, 1, next);
  if (isLfsPointer(bytes))
    throw new InputError(`${where}: wanted text, got a Git LFS pointer; ${LFS_NEXT}`, { id: 'data-invalid' });
  return new TextDecoder('utf-8').decode(bytes);
}

/**
 * Lines of a file, gzipped when its name ends in `.gz`. Only `\n` ends a line (a `\r` before it belongs to the end): U+2028, U+2029
 * and U+0085 are text. Memory holds one line.
 *
 * @throws InputError naming the line that cannot be read
 */
export async function* textLines(path: string, limits: TextLimits = {}): AsyncGenerator<TextLine> {
  const { maxBytes = MAX_LINE_BYTES } = limits;
  let number = 0;
  const lineOf = (bytes: Uint8Array): TextLine => {
    number++;
    if (number === 1) refuseUtf16(bytes, path);
    const end = bytes.at(-1) === CR ? bytes.length - 1 : bytes.length;
    const line = bytes.subarray(0, end);
    if (!isUtf8(line)) throw notUtf8(line, path, number);
    // only the first line may begin with a byte-order mark; elsewhere U+FEFF is text
    return { number, text: new TextDecoder('utf-8', { ignoreBOM: number > 1 }).decode(line) };
  };
  const file = createReadStream(path);
  const source = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => {}) : file;
  const parts: Uint8Array[] = [];
  let held = 0;
  try {
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      let from = 0;
      for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
        const line = chunk.subarray(from, at);
        yield lineOf(parts.length === 0 ? line : Buffer.concat([...parts.splice(0), line]));
        held = 0;
        from = at + 1;
      }
      if (from === chunk.length) continue;
      parts.push(chunk.subarray(from));
      held += chunk.length - from;
      if (held > maxBytes)
        throw new InputError(`${path} line ${number + 1}: wanted a line of at most ${maxBytes} bytes`, {
          id: 'data-invalid',
        });
    }
    if (held > 0) yield lineOf(Buffer.concat(parts));
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`${path} cannot be read after line ${number}`, { id: 'file-unreadable', cause });
  } finally {
    file.destroy();
  }
}

function refuseUtf16(bytes: Uint8Array, where: string): void {
  const mark = bytes.length >= 2 ? (bytes[0] as number) * 256 + (bytes[1] as number) : 0;
  if (mark === 0xfffe || mark === 0xfeff)
    throw new InputError(`${where}: wanted UTF-8 text, got UTF-16; save the file as UTF-8`, {
      id: 'data-invalid',
    });
}

/** The error of bytes that are not UTF-8; `firstLine` is the number of their first line. */
function notUtf8(bytes: Uint8Array, where: string, firstLine: number, next = SAVE_AS_UTF8): InputError {
  const at = validLength(bytes);
  let line = firstLine;
  let start = 0;
  for (let i = bytes.indexOf(LF); i >= 0 && i < at; i = bytes.indexOf(LF, i + 1)) {
    line++;
    start = i + 1;
  }
  const got = `0x${(bytes[at] as number).toString(16).padStart(2, '0')}`;
  return new InputError(
    `${where} line ${line}, byte ${at - start + 1}: wanted UTF-8 text, got the byte ${got}; ${next}`,
    { id: 'data-invalid' },
  );
}

/** How many bytes at the beginning are valid UTF-8, for bytes that are not valid as a whole. */
function validLength(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] as number;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length === 1) at++;
    else if (isUtf8(bytes.subarray(at, at + length))) at += length;
    else return at;
  }
  return at;
}

/** A file that may be absent: its text as {@link readTextFile} reads it, undefined where there is none. */
export async function readTextIfThere(path: string, limits: TextLimits = {}): Promise<string | undefined> {
  try {
    return await readTextFile(path, limits);
  } catch (error) {
    const code = error instanceof InputError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : '';
    if (code === 'ENOENT') return undefined;
    throw error instanceof InputError
      ? error
      : new InputError(`${path}: ${errorLine(error)}`, { id: 'file-unreadable' });
  }
}
