import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bundledModels, resolveModel } from './resolve.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'resolve-'));
  await mkdir(join(root, 'tiny-llama-s'));
  await writeFile(join(root, 'tiny-llama-s', 'config.json'), '{}');
  await mkdir(join(root, 'tiny-own'));
  await writeFile(join(root, 'tiny-own', 'config.json'), '{}');
  await mkdir(join(root, 'being-made'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

it('lists what ships and what is there besides', () => {
  expect(bundledModels(root).map(({ name, present }) => [name, present])).toEqual([
    ['tiny-llama-s', true],
    ['tiny-llama-m', false],
    ['tiny-qwen', false],
    ['tiny-own', true],
  ]);
});

it('finds bundled names and paths, and says what is missing', async () => {
  const find = (reference: string) =>
    resolveModel(reference, { bundledRoot: root, offline: true, cacheDir: root });
  expect(await find('tiny-llama-s')).toEqual({
    kind: 'bundled',
    path: join(root, 'tiny-llama-s'),
    missingBytes: 0,
  });
  expect(await find(root)).toEqual({ kind: 'path', path: root, missingBytes: 0 });
  await expect(find('tiny-qwen')).rejects.toThrow(/tiny-qwen: wanted the bundled model.*npm run tiny:train/);
  await expect(find('tiny-lama-s')).rejects.toThrow(/wanted a bundled model \(tiny-llama-s, .*no such file/);
  await expect(find('./no/such.gguf')).rejects.toThrow(/no such file or folder/);
  await expect(find('org/name')).rejects.toThrow(/org\/name@main: offline/);
});
