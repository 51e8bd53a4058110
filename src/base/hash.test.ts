import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson, hashBytes, hashFile, hashJson } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-hash-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe('canonicalJson', () => {
  it('sorts keys at every depth, drops undefined, keeps array order', () => {
    expect(canonicalJson({ b: [3, { z: 1, a: null }], a: undefined, A: 'x' })).toBe(
      '{"A":"x","b":[3,{"a":null,"z":1}]}',
    );
    expect(canonicalJson([undefined, 1])).toBe('[null,1]');
  });

  it('parses back to the same value, and does not depend on the order of insertion', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 300, seed: 2 },
    );
    expect(hashJson({ x: 1, y: 2 })).toBe(hashJson({ y: 2, x: 1 }));
  });

  it('refuses what JSON would change in silence', () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      new Float32Array(2),
      new Map(),
      new Date(0),
      1n,
      () => 1,
    ])
      expect(() => canonicalJson(value)).toThrow(TypeError);
  });
});

describe('hashes', () => {
  it('SHA-256 of nothing is the published digest', () => {
    expect(hashBytes(new Uint8Array())).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('values that differ have hashes that differ', () => {
    const values = [1, '1', [1], { a: 1 }, { a: '1' }, null, true, '', [], {}, [[]]];
    expect(new Set(values.map(hashJson)).size).toBe(values.length);
  });

  it('a file streamed over several chunks hashes as its bytes', async () => {
    const bytes = new Uint8Array(3 * (1 << 20) + 17).map((_, i) => (i * 31) & 255);
    const path = join(folder, 'big');
    await writeFile(path, bytes);
    expect(await hashFile(path)).toBe(hashBytes(bytes));
    expect(hashBytes(bytes)).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it('a missing file is an error that names it', async () => {
    await expect(hashFile(join(folder, 'absent'))).rejects.toThrow(/absent/);
  });
});
