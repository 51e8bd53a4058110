import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SEAL, withAtomicFolder, writeFileAtomic, writeJsonAtomic } from './index.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-files-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('writeFileAtomic', () => {
  it('makes folders, replaces, leaves nothing beside the file', async () => {
    const path = join(folder, 'a', 'b', 'x.txt');
    await writeFileAtomic(path, 'one');
    await writeFileAtomic(path, new Uint8Array([116, 119, 111]));
    expect(await readFile(path, 'utf8')).toBe('two');
    expect(await readdir(join(folder, 'a', 'b'))).toEqual(['x.txt']);
  });

  it('when the rename fails the old state stays and the part is gone', async () => {
    const path = join(folder, 'occupied');
    await mkdir(path);
    await writeFile(join(path, 'keep'), '');
    await expect(writeFileAtomic(path, 'new')).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST|directory/);
    expect(await readdir(folder)).toEqual(['occupied']);
    expect(await readdir(path)).toEqual(['keep']);
  });

  it('when the write itself fails the old content stays and the part is gone', async () => {
    const path = join(folder, 'x');
    await writeFileAtomic(path, 'old');
    const unwritable = 7 as unknown as string;
    await expect(writeFileAtomic(path, unwritable)).rejects.toThrow(TypeError);
    expect(await readFile(path, 'utf8')).toBe('old');
    expect(await readdir(folder)).toEqual(['x']);
  });

  it('many writers at once: the file is one of the versions, whole; a reader never sees a part', async () => {
    const path = join(folder, 'x');
    const version = (i: number): string => String.fromCharCode(97 + i).repeat(200_000);
    await writeFileAtomic(path, version(0));
    const isWhole = (text: string): boolean => text.length === 200_000 && new Set(text).size === 1;
    const writes = Promise.all(Array.from({ length: 8 }, (_, i) => writeFileAtomic(path, version(i))));
    for (let i = 0; i < 20; i++) expect(isWhole(await readFile(path, 'utf8'))).toBe(true);
    await writes;
    expect(isWhole(await readFile(path, 'utf8'))).toBe(true);
    expect(await readdir(folder)).toEqual(['x']);
  });

  it('writeJsonAtomic indents and ends in a newline', async () => {
    const path = join(folder, 'x.json');
    await writeJsonAtomic(path, { a: [1] });
    expect(await readFile(path, 'utf8')).toBe('{\n  "a": [\n    1\n  ]\n}\n');
  });
});

describe('withAtomicFolder', () => {
  const fresh = (path: string, name: string) =>
    withAtomicFolder(path, (aside) => writeFile(join(aside, name), 'x'));

  it('moves a whole folder into place, drops the former one, returns what fill returned', async () => {
    const path = join(folder, 'deep', 'run');
    await fresh(path, 'stale');
    const result = await withAtomicFolder(path, async (aside) => {
      await writeFile(join(aside, 'fresh'), 'x');
      expect(await readdir(path)).toEqual([SEAL, 'stale']); // not visible before it is whole
      return 3;
    });
    expect(result).toBe(3);
    expect(await readdir(path)).toEqual([SEAL, 'fresh']);
    expect(await readdir(join(folder, 'deep'))).toEqual(['run']);
  });

  it('a failure half-way leaves the former folder and no other', async () => {
    const path = join(folder, 'run');
    await fresh(path, 'old');
    const failing = withAtomicFolder(path, async (aside) => {
      await writeFile(join(aside, 'half'), 'x');
      throw new Error('disk full');
    });
    await expect(failing).rejects.toThrow('disk full');
    expect(await readdir(folder)).toEqual(['run']);
    expect(await readdir(path)).toEqual([SEAL, 'old']);
  });

  it('a folder that goes away while it is filled leaves the former one', async () => {
    const path = join(folder, 'run');
    await fresh(path, 'old');
    const failing = withAtomicFolder(path, (aside) => rm(aside, { recursive: true }));
    await expect(failing).rejects.toThrow(/ENOENT/);
    expect(await readdir(folder)).toEqual(['run']);
    expect(await readdir(path)).toEqual([SEAL, 'old']);
  });

  it('refuses what crosspatch did not write, before and after filling, and keeps it', async () => {
    const path = join(folder, 'model');
    await mkdir(path);
    await writeFile(join(path, 'weights'), 'mine');
    await expect(fresh(path, 'x')).rejects.toThrow(
      /model: holds files that crosspatch did not write \(weights\)/,
    );
    await rm(join(path, 'weights'));
    await fresh(path, 'x'); // an empty one is fine
    const failing = withAtomicFolder(path, () => writeFile(join(path, 'notes.txt'), 'mine'));
    await expect(failing).rejects.toThrow(/did not write \(notes.txt\)/);
    expect(await readdir(path)).toEqual([SEAL, 'notes.txt', 'x']);
    expect(await readdir(folder)).toEqual(['model']);
  });

  it('a cache folder is replaced whatever is in it', async () => {
    const path = join(folder, 'entry');
    await mkdir(path);
    await writeFile(join(path, 'damaged'), 'x');
    await withAtomicFolder(path, (aside) => writeFile(join(aside, 'whole'), 'x'), { cache: true });
    expect(await readdir(path)).toEqual([SEAL, 'whole']);
  });

  it('a link to a folder stays a link', async () => {
    await mkdir(join(folder, 'there'));
    await symlink('there', join(folder, 'link'));
    await fresh(join(folder, 'link'), 'x');
    expect((await lstat(join(folder, 'link'))).isSymbolicLink()).toBe(true);
    expect(await readdir(join(folder, 'there'))).toEqual([SEAL, 'x']);
  });
});
