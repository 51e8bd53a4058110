/** @file What an experiment is called and how small it may be made. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadRecipe } from './index.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-load-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const load = async (text: string, options = {}) => {
  const file = join(root, 'my-own.yaml');
  await writeFile(file, text);
  return (await loadRecipe(file, options)).recipe;
};

it('a file that extends another is named after itself, unless it gives a name', async () => {
  expect((await load('extends: quick\n')).name).toBe('my-own');
  expect((await load('extends: quick\nname: other\n')).name).toBe('other');
  expect((await load('extends: quick\n', { set: ['name=third'] })).name).toBe('third');
  expect((await loadRecipe('quick')).recipe.name).toBe('quick');
});

it('limits every section, also where `data` is smaller than the limit', async () => {
  const models = 'models: { source: a, target: b }\n';
  const { sweep, transfer, capabilities, data } = await load(`${models}data: { test: 10 }\n`, { limit: 20 });
  expect([sweep.prompts, transfer ? transfer.prompts : 0, capabilities ? capabilities.items : 0]).toEqual([
    20, 10, 10,
  ]);
  expect([data.validation, data.test]).toEqual([20, 10]);
});
