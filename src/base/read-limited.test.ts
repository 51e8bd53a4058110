import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTextLimited } from './read-limited.ts';

describe('readTextLimited', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crosspatch-limited-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('reads what fits and refuses what does not, before it takes the memory', async () => {
    const path = join(folder, 'a.json');
    await writeFile(path, 'naïve');
    expect(await readTextLimited(path, 6)).toBe('naïve');
    await truncate(path, 8 * 2 ** 30); // A sparse file: no room on the disk, 8 GB to read.
    await expect(readTextLimited(path, 32 << 20)).rejects.toThrow(/8192 MB; at most 32 MB/);
  });

  it('refuses a pipe at once and leaves a missing file to the caller', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await expect(readTextLimited(pipe, 100)).rejects.toThrow(/wanted a file/);
    await expect(readTextLimited(folder, 100)).rejects.toThrow(/wanted a file/);
    await expect(readTextLimited(join(folder, 'no'), 100)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
