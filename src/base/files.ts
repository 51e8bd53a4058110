/** @file Files that are whole or absent: written aside, flushed, then renamed into place. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

function aside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.part`);
}

/** Write `data` to `path` so that a reader sees the old file or the whole new one, never a part. Makes parent folders. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = aside(path);
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** `writeFileAtomic` of indented JSON with a final newline. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Fill a folder aside with `fill(temporaryFolder)`, then move it to `path` (replacing what was there). When `fill`
 * throws, nothing is left behind and the former folder stays. Returns what `fill` returned.
 */
export async function withAtomicFolder<T>(path: string, fill: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = aside(path);
  await mkdir(temporary);
  try {
    const result = await fill(temporary);
    const former = aside(path);
    const hadFormer = await rename(path, former).then(
      () => true,
      () => false,
    );
    try {
      await rename(temporary, path);
    } catch (error) {
      if (hadFormer) await rename(former, path);
      throw error;
    }
    if (hadFormer) await rm(former, { recursive: true, force: true });
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
