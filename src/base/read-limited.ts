/** @file Reading files that somebody else wrote: a regular file of at most so many bytes, or a refusal. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { InputError } from './errors.ts';

const MIB = 1 << 20;

/**
 * The text of `path`. Throws {@link InputError} for anything but a regular file (a pipe would never end) and for one of more than
 * `limit` bytes; other errors (the file is absent) are the system's own.
 *
 * @example const text = await readTextLimited('runs/demo/results.json', 32 << 20);
 */
export async function readTextLimited(path: string, limit: number): Promise<string> {
  // Without waiting: opening a pipe that nobody writes to would block.
  await using file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  const info = await file.stat();
  if (!info.isFile())
    throw new InputError(`${path}: wanted a file, got something else`, { id: 'file-unreadable' });
  if (info.size > limit)
    throw new InputError(
      `${path}: ${(info.size / MIB).toFixed(0)} MB; at most ${(limit / MIB).toFixed(0)} MB are read`,
      { id: 'data-invalid' },
    );
  const bytes = Buffer.alloc(info.size);
  const { bytesRead } = await file.read(bytes, 0, info.size, 0);
  return bytes.toString('utf8', 0, bytesRead);
}
