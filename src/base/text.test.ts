/** @file Claims about text files from elsewhere. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from './errors.ts';
import { decodeText, readTextFile, readTextIfThere, textLines } from './text.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'text-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const save = async (name: string, data: string | Uint8Array): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, data);
  return path;
};
const linesOf = async (name: string, data: string | Uint8Array): Promise<string[]> => {
  const lines: string[] = [];
  for await (const { text, number } of textLines(await save(name, data))) {
    lines.push(text);
    expect(number).toBe(lines.length);
  }
  return lines;
};

describe('textLines', () => {
  it('splits at line feeds only', async () => {
    const text = 'a\u2028b\u2029c\u0085d\re\u000bf';
    expect(await linesOf('separators.txt', `${text}\nlast`)).toEqual([text, 'last']);
  });

  it('takes CRLF as one end, skips a byte-order mark once, and needs no last line end', async () => {
    expect(await linesOf('crlf.txt', '\ufeffa\r\n\r\n\ufeffb\r\n')).toEqual(['a', '', '\ufeffb']);
    expect(await linesOf('empty.txt', '')).toEqual([]);
    expect(await linesOf('gz.txt.gz', gzipSync('a\nb'))).toEqual(['a', 'b']);
  });

  it('joins a line that comes in several chunks, characters cut in the middle included', async () => {
    const long = '€'.repeat(100_000);
    expect(await linesOf('long.txt', `x\n${long}\ny`)).toEqual(['x', long, 'y']);
  });

  it('names line and byte of what is not UTF-8', async () => {
    const latin1 = Buffer.from('ok\ncaf\u00e9 0\n', 'latin1');
    await expect(linesOf('latin1.txt', latin1)).rejects.toThrow(
      /latin1.txt line 2, byte 4: wanted UTF-8 text, got the byte 0xe9/,
    );
    await expect(linesOf('utf16.txt', Buffer.from('\ufeffab', 'utf16le'))).rejects.toThrow(/UTF-16/);
  });

  it('refuses a line beyond the limit, and a damaged archive', async () => {
    const path = await save('wide.txt', `a\n${'b'.repeat(1000)}`);
    const read = async (): Promise<void> => {
      for await (const _ of textLines(path, { maxBytes: 100 }));
    };
    await expect(read()).rejects.toThrow(/line 2: wanted a line of at most 100 bytes/);
    await expect(linesOf('cut.gz', gzipSync('a\n'.repeat(99)).subarray(0, 20))).rejects.toThrow(InputError);
  });
});

describe('readTextFile', () => {
  it('skips the mark, and says what is wrong', async () => {
    expect(await readTextFile(await save('bom.txt', '\ufeffa\n'))).toBe('a\n');
    const bad = await save('bad.txt', Uint8Array.of(0x61, 0x0a, 0x62, 0xf0, 0x9f, 0x98, 0x0a));
    await expect(readTextFile(bad)).rejects.toThrow(/line 2, byte 2: .*0xf0/);
    await expect(readTextFile(bad, { maxBytes: 3 })).rejects.toThrow(/at most 3 bytes, got 7/);
    await expect(readTextFile(join(folder, 'none'))).rejects.toThrow(InputError);
    expect(await readTextIfThere(join(folder, 'none'))).toBeUndefined();
    await expect(readTextIfThere(folder)).rejects.toThrow(/cannot be read/);
  });

  it('takes every byte sequence that is UTF-8, and no other', () => {
    for (const [bytes, at] of [
      [[0xc0, 0x80], 1],
      [[0x41, 0xed, 0xa0, 0x80], 2],
      [[0xe2, 0x82], 1],
      [[0xf4, 0x90, 0x80, 0x80], 1],
      [[0x80], 1],
    ] as const)
      expect(() => decodeText(Uint8Array.from(bytes), 'x')).toThrow(`x line 1, byte ${at}:`);
    expect(decodeText(Buffer.from('é€😀'), 'x')).toBe('é€😀');
  });
});
