import { appendFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { brokenSeal, SEAL, withAtomicFolder } from './index.ts';

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-seal-'));
  folder = join(root, 'sealed');
  await withAtomicFolder(
    folder,
    async (aside) => {
      await mkdir(join(aside, 'sub'));
      await writeFile(join(aside, 'a'), 'some bytes');
      await writeFile(join(aside, 'sub/b'), new Uint8Array(5000));
      await writeFile(join(aside, 'times'), '1 s');
    },
    { unsealed: ['times'] },
  );
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function flip(path: string, bit: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  await writeFile(path, bytes);
}

describe('a seal', () => {
  it('holds while nothing changes; unsealed files may', async () => {
    expect(await brokenSeal(folder, ['times'])).toBeUndefined();
    await appendFile(join(folder, 'times'), '!');
    expect(await brokenSeal(folder, ['times'])).toBeUndefined();
  });

  it.each([
    ['a bit', 'a was changed', () => flip(join(folder, 'a'), 77)],
    ['a bit further in', 'sub/b was changed', () => flip(join(folder, 'sub/b'), 39_999)],
    ['a cut', 'sub/b was changed', () => truncate(join(folder, 'sub/b'), 4999)],
    ['a missing file', 'a is missing', () => rm(join(folder, 'a'))],
    ['a file more', 'c was added', () => writeFile(join(folder, 'c'), '')],
    ['no seal', `${SEAL} is missing or was changed`, () => rm(join(folder, SEAL))],
  ])('%s is named', async (_what, said, damage) => {
    await damage();
    expect(await brokenSeal(folder, ['times'])).toBe(said);
  });

  it('every bit of the seal itself counts', async () => {
    const path = join(folder, SEAL);
    const whole = await readFile(path);
    for (let bit = 0; bit < whole.length * 8; bit += 13) {
      await flip(path, bit);
      expect(await brokenSeal(folder, ['times']), `bit ${bit}`).toBeDefined();
      await writeFile(path, whole);
    }
  });
});
