import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportGguf } from '../../export-gguf.ts';
import { convertToHf } from '../convert.ts';
import { openCheckpoint } from '../open.ts';
import { readGguf } from './read.ts';
import { memorySource } from './source.ts';
import { ggufEntry, writeGguf } from './write.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../../../test/parity/gguf/${name}.gguf`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-gguf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('exportGguf', () => {
  // Llama has rotated heads, Gemma norms that lack 1.
  it.each(['tiny-llama', 'tiny-gemma3'])(
    '%s as a folder and back: the same tensors, the same metadata',
    async (name) => {
      const like = fixture(name);
      const cacheDir = join(folder, 'cache');
      const original = await openCheckpoint(like, { cacheDir });
      const hf = join(folder, name);
      await convertToHf(original, hf);
      const out = join(folder, `${name}.gguf`);
      await exportGguf(await openCheckpoint(hf), out, { like });
      const [before, after] = await Promise.all(
        [like, out].map(async (path) => readGguf(memorySource(await readFile(path)), path)),
      );
      expect([...after.tensors.keys()]).toEqual([...before.tensors.keys()]);
      const storage = /^general\.(file_type|quantization_version|alignment)$/;
      for (const [key, value] of before.metadata)
        if (!storage.test(key)) expect(after.metadata.get(key), key).toEqual(value);
      expect(after.metadata.get('general.file_type')).toBe(1);
      const exact = join(folder, `${name}.f32.gguf`);
      await exportGguf(await openCheckpoint(hf), exact, { like, dtype: 'F32' });
      const whole = await openCheckpoint(exact, { cacheDir });
      const again = await openCheckpoint(out, { cacheDir });
      expect(again.config).toEqual(original.config);
      for (const tensor of original.tensors.keys()) {
        const [a, b] = [await original.readTensor(tensor), await again.readTensor(tensor)];
        expect(b.shape).toEqual(a.shape);
        const largest = a.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        const error = a.data.reduce((most, x, i) => Math.max(most, Math.abs(x - b.data[i]!)), 0);
        // Half a unit in the last place of float16; Gemma's norms lose the 1 again in float32.
        expect(error, tensor).toBeLessThanOrEqual(largest * 2 ** -11 + 2 ** -25);
        // All of it, but for the 1 of Gemma's norms.
        const c = await whole.readTensor(tensor);
        for (const [i, x] of a.data.entries())
          if (!(Math.abs(x - c.data[i]!) <= 2 ** -23))
            expect.unreachable(`${tensor}[${i}]: ${x}, ${c.data[i]}`);
      }
    },
  );

  it('refuses another model, a file that is not its own, and writes nothing then', async () => {
    const hf = await openCheckpoint(join(folder, 'tiny-llama'));
    const out = join(folder, 'refused.gguf');
    await expect(exportGguf(hf, out, { like: fixture('tiny-gemma3') })).rejects.toThrow(
      'give the GGUF that this',
    );
    await expect(readFile(out)).rejects.toThrow();
    await writeFile(out, 'a letter');
    await expect(exportGguf(hf, out, { like: fixture('tiny-llama') })).rejects.toThrow('did not write');
  });
});

it('writeGguf writes what readGguf reads, data aligned', async () => {
  const path = join(folder, 'small.gguf');
  const values = { a: Float32Array.of(1, 2, 3), b: Float32Array.of(0.5, -1, 65504, 2 ** -14) };
  await writeGguf(path, {
    entries: [
      ggufEntry('general.architecture', 'string', 'controlvector'),
      ggufEntry('x.count', 'u32', 7),
      ggufEntry('x.scale', 'f32', 0.25),
    ],
    tensors: [
      { name: 'direction.1', shape: [3], type: 'F32', values: () => values.a },
      { name: 'direction.2', shape: [2, 2], type: 'F16', values: () => values.b },
    ],
  });
  const bytes = await readFile(path);
  const { metadata, tensors } = readGguf(memorySource(bytes), path);
  expect(Object.fromEntries(metadata)).toEqual({
    'general.architecture': 'controlvector',
    'x.count': 7,
    'x.scale': 0.25,
  });
  const [a, b] = ['direction.1', 'direction.2'].map((name) => tensors.get(name)!);
  expect([a.offset % 32, b.offset % 32, b.shape]).toEqual([0, 0, [2, 2]]);
  expect(
    new Float32Array(bytes.buffer.slice(bytes.byteOffset + a.offset, bytes.byteOffset + a.offset + 12)),
  ).toEqual(values.a);
  expect([...bytes.subarray(b.offset, b.offset + 8)]).toEqual([0, 0x38, 0, 0xbc, 0xff, 0x7b, 0, 4]);
});
