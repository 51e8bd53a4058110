/** @file `export` by the command line: what is written does here what the document does; llama.cpp's own file of a fine-tune is read again. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { convertToHf, LanguageModel, openCheckpoint } from '../models/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

const MODEL = 'tiny-llama-s';
const HOOK = 'blocks.2.hook_resid_post';
const GGUF = fileURLToPath(new URL('../../test/parity/gguf/tiny-llama.gguf', import.meta.url));

let folder: string;
let document: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-export-'));
  await using model = await LanguageModel.load(MODEL);
  const values = Array.from({ length: model.config.dModel }, (_, i) => Math.fround(Math.sin(i * i)));
  document = join(folder, 'push.json');
  await writeFile(
    document,
    JSON.stringify({
      op: 'add',
      hook: HOOK,
      tokens: { prompt: 'all', generation: 'all' },
      vector: { from: 'inline', values },
      scale: 6,
    }),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each(['gguf', 'safetensors'])('a vector as .%s steers as the document does', async (form) => {
  const file = join(folder, `push.${form}`);
  const said = await crosspatchJson(['export', 'vector', document, file, '--model', MODEL, '--scale', '0.5']);
  expect(said.blocks.map(({ block }: { block: number }) => block)).toEqual([2]);
  const asked = ['generate', '--model', MODEL, '--prompt', 'the river', '--max-tokens', '6'];
  const [a] = (await crosspatchJson([...asked, '--intervention', file])).completions;
  const half = join(folder, 'half.json');
  const given = JSON.parse(await readFile(document, 'utf8'));
  await writeFile(half, JSON.stringify({ ...given, scale: 3 }));
  const [b] = (await crosspatchJson([...asked, '--intervention', half])).completions;
  expect(a.ids).toEqual(b.ids);
  expect(a.effects[0].relative_change).toBeCloseTo(b.effects[0].relative_change, 5);
});

it('a model goes back to the GGUF it came from', async () => {
  const cacheDir = join(folder, 'cache');
  const original = await openCheckpoint(GGUF, { cacheDir });
  const hf = join(folder, 'hf');
  await convertToHf(original, hf);
  const file = join(folder, 'back.gguf');
  const said = await crosspatchJson(['export', 'model', hf, file, '--like', GGUF]);
  expect(said).toEqual({ file, tensors: original.tensors.size });
  const again = await openCheckpoint(file, { cacheDir });
  expect(again.config).toEqual(original.config);
  const name = 'model.layers.1.self_attn.k_proj.weight';
  const [a, b] = [await original.readTensor(name), await again.readTensor(name)];
  a.data.forEach((x, i) => {
    expect(b.data[i]).toBeCloseTo(x, 3);
  });
});

it.each([
  [['vector', 'DOCUMENT', 'x.pt'], 'ends in .gguf or .safetensors'],
  [['vector', 'DOCUMENT', 'x.gguf', '--model', 'tiny-llama-m'], 'has width'],
  [['vector', '/nowhere.json', 'x.gguf'], '/nowhere.json'],
  [['model', MODEL, 'x.gguf', '--like', GGUF], 'give the GGUF that this model was made from'],
])('refuses %j', async (args, message) => {
  const given = args.map((a) => (a === 'DOCUMENT' ? document : a.startsWith('x.') ? join(folder, a) : a));
  const { code, err } = await crosspatch(['export', ...given]);
  expect([code, err]).toEqual([2, expect.stringContaining(message)]);
});
