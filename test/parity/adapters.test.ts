/**
 * @file Adapters as PEFT 0.21 writes them for the bundled tiny-llama-s, their targets named in every way it knows: merged, the logits are
 * those of PEFT on torch 2.6.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LanguageModel, resolveModel } from '../../src/models/index.ts';
import { mergeAdapterFolder } from '../../src/train/index.ts';

const cases = join(import.meta.dirname, '../cases/adapters');
let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'crosspatch-adapters-'));
});
afterAll(() => rm(out, { recursive: true }));

it.each([
  ['regex', '-3.7431 -3.5619 9.3729 -3.6679'],
  ['suffixnames', '-3.8037 -3.6062 8.7620 -3.7346'],
  ['fullnames', '-3.7611 -3.5822 9.5459 -3.6783'],
])('%s', async (name, logits) => {
  const { path } = await resolveModel('tiny-llama-s');
  const merged = join(out, name);
  await mergeAdapterFolder({ model: path, adapter: join(cases, name), out: merged });
  await using model = await LanguageModel.load(merged, { threads: 1 });
  const row = (await model.forward([1, 15, 20])).logits.data.subarray(2 * model.config.vocabSize);
  expect(Array.from(row.subarray(0, 4), (v) => v.toFixed(4)).join(' ')).toBe(logits);
});

it('activated LoRA is refused: it would be applied to every token', async () => {
  const folder = join(out, 'alora');
  await cp(join(cases, 'regex'), folder, { recursive: true });
  const path = join(folder, 'adapter_config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, alora_invocation_tokens: [15] }));
  const { path: model } = await resolveModel('tiny-llama-s');
  await expect(mergeAdapterFolder({ model, adapter: folder, out: join(out, 'x') })).rejects.toThrow(
    /alora_invocation_tokens/,
  );
});
