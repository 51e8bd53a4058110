import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCapture } from '../../activations/read-capture.ts';
import { LanguageModel } from '../../models/index.ts';
import { crosspatch } from '../crosspatch.helper.ts';
import { writeTinyModel } from '../tiny-model.helper.ts';

let root: string;
let model: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-capture-'));
  model = join(root, 'model');
  data = join(root, 'data.jsonl');
  await writeTinyModel(model);
  await writeFile(
    data,
    '{"id":"a","prompt":"one two"}\n{"prompt":"what is one plus two?"}\n{"prompt":"five"}\n',
  );
});
afterAll(() => rm(root, { recursive: true, force: true }));

const capture = (...argv: string[]) =>
  crosspatch(['capture', '--quiet', '--model', model, '--data', data, ...argv]);

it('writes what the model has at the hooks, for every text', async () => {
  const out = join(root, 'captured');
  const hooks = ['--hook', 'resid_post.1', '--hook', 'blocks.2.hook_mlp_out'];
  const { code, out: printed } = await capture(...hooks, '--out', out, '--limit', '2', '--json');
  expect(code).toBe(0);
  const said = JSON.parse(printed) as { rows: number; hooks: string[] };
  expect(said.hooks).toEqual(['blocks.1.hook_resid_post', 'blocks.2.hook_mlp_out']);
  expect((await readdir(out)).sort()).toEqual(['index.json', 'shard-00000.safetensors']);
  await using opened = await LanguageModel.load(model);
  const { cache, ids } = await opened.runWithCache('what is one plus two?', {
    namesFilter: ['blocks.2.hook_mlp_out'],
  });
  expect(said.rows).toBe(3 + (ids[0]?.length ?? 0));
  for await (const { hidden } of readCapture(out, ['2'], 'blocks.2.hook_mlp_out'))
    expect(hidden).toEqual(cache.get('blocks.2.hook_mlp_out')?.data);
  const again = await capture(...hooks, '--out', out, '--limit', '2');
  expect(again.out).toMatch(
    /tokens of 2 texts, blocks.1.hook_resid_post, blocks.2.hook_mlp_out, width 32, 1 shards; rows left out: none/,
  );
});

it.each([
  [['--hook', 'resid_post.7'], /blocks 0…2/],
  [['--hook', 'nonsense'], /is not known/],
  [['--hook', 'hook_embed', '--field', 'answer'], /data.jsonl line 1: wanted text under answer/],
  [['--hook', 'hook_embed', '--batch', '0'], /--batch 0: wanted a whole number/],
])('bad input is one line and exit 2: %j', async (argv, message) => {
  const { code, err } = await capture(...argv, '--out', join(root, 'never'));
  expect(code).toBe(2);
  expect(err).toMatch(message);
  expect(err.trim()).not.toContain('\n');
});
