/** @file `import` by the command line: what was exported comes back and does the same; what does not fit is refused. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseIntervention } from '../contracts/index.ts';
import { ggufEntry, writeGguf, writeSafetensors } from '../models/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';
import { writeTinyModel } from './tiny-model.helper.ts';

const WIDTH = 32;
let folder: string;
let model: string;
let control: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-import-'));
  model = join(folder, 'tiny');
  control = join(folder, 'control.gguf');
  await writeTinyModel(model);
  // As llama.cpp's generator and repeng write them.
  await writeGguf(control, {
    entries: [
      ggufEntry('general.architecture', 'string', 'controlvector'),
      ggufEntry('controlvector.model_hint', 'string', 'llama'),
      ggufEntry('controlvector.layer_count', 'u32', 2),
    ],
    tensors: [1, 2].map((layer) => ({
      name: `direction.${layer}`,
      shape: [WIDTH],
      type: 'F32' as const,
      values: () => direction(layer),
    })),
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const direction = (layer: number): Float32Array =>
  Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(layer + i * i));

it('a control vector becomes a document and a vector file that steer alike', async () => {
  const [document, tensors] = [join(folder, 'in.json'), join(folder, 'in.safetensors')];
  const asked = ['--model', model, '--scale', '1.5', '--blocks', '1'];
  const said = await crosspatchJson(['import', 'vector', control, document, ...asked]);
  const wanted = 1.5 * Math.hypot(...direction(1));
  expect(said.blocks).toEqual([{ block: 1, norm: expect.closeTo(wanted, 4), width: WIDTH }]);
  expect(said.origin).toMatch(/^control\.gguf \(sha256 [0-9a-f]{16}\), for llama$/);
  const made = parseIntervention(JSON.parse(await readFile(document, 'utf8')));
  expect(made).toMatchObject({
    name: `from ${said.origin}`,
    model: 'tiny',
    interventions: [
      { op: 'add', hook: 'blocks.1.hook_resid_post', tokens: { prompt: 'all', generation: 'all' } },
    ],
  });
  await crosspatchJson(['import', 'vector', control, tensors, ...asked]);
  const again = ['generate', '--model', model, '--prompt', 'one plus two', '--max-tokens', '5'];
  const runs = [];
  for (const file of [document, tensors])
    runs.push((await crosspatchJson([...again, '--intervention', file])).completions[0]);
  const [a, b] = runs;
  expect(a.ids).toEqual(b.ids);
  expect(a.effects).toEqual(b.effects);
  // Our own export reads as the same vectors, and says so.
  const back = join(folder, 'back.gguf');
  await crosspatchJson(['export', 'vector', document, back, '--model', model]);
  const third = await crosspatchJson(['import', 'vector', back, join(folder, 'third.json')]);
  expect(third.blocks).toEqual(said.blocks);
});

it.each<[name: string, args: string[], message: string]>([
  ['CONTROL', ['x.txt'], 'ends in .json or .safetensors'],
  ['CONTROL', ['x.json', '--model', 'tiny-llama-s'], 'has width'],
  ['CONTROL', ['x.json', '--blocks', '7'], 'holds no direction.7'],
  ['CONTROL', ['x.json', '--scale', '0'], 'would change nothing'],
  ['uneven', ['x.json'], 'one width'],
  ['beyond', ['x.json', '--model', 'MODEL'], 'blocks 0…2'],
  ['nothing', ['x.json'], 'direction.0, direction.1'],
])('refuses %s %j', async (name, args, message) => {
  const file = name === 'CONTROL' ? control : join(folder, `${name}.safetensors`);
  const tensor = (key: string, length: number) => ({
    name: key,
    dtype: 'F32' as const,
    shape: [length],
    data: new Float32Array(length).fill(1),
  });
  const files: Record<string, ReturnType<typeof tensor>[]> = {
    uneven: [tensor('direction.0', 4), tensor('direction.1', 5)],
    beyond: [tensor('direction.3', WIDTH)],
    nothing: [tensor('steering', WIDTH)],
  };
  if (files[name] !== undefined) await writeSafetensors(file, files[name]);
  const given = args.map((a) => (a === 'MODEL' ? model : a.startsWith('x.') ? join(folder, a) : a));
  const { code, err } = await crosspatch(['import', 'vector', file, ...given]);
  expect([code, err]).toEqual([2, expect.stringContaining(message)]);
});

it('activations go out and come in, with layers named either way', async () => {
  const at = (name: string): string => join(folder, name);
  await writeFile(at('texts.jsonl'), '{"text": "one plus two is three ."}\n{"text": "what is prod ?"}\n');
  const hook = 'blocks.1.hook_resid_post';
  await crosspatchJson([
    'capture',
    '--model',
    model,
    '--hook',
    hook,
    '--data',
    at('texts.jsonl'),
    '--out',
    at('own'),
  ]);
  const out = await crosspatchJson(['export', 'activations', at('own'), at('given')]);
  expect(out).toMatchObject({ texts: 2, hooks: [hook], d_model: WIDTH, dtype: 'F32' });
  for (const [name, ...layers] of [['stated'], ['blocks', '--blocks', '1'], ['vllm', '--vllm-layers', '2']]) {
    const said = await crosspatchJson([
      'import',
      'activations',
      at('given'),
      at(name!),
      '--model',
      model,
      ...layers,
    ]);
    expect(said).toMatchObject({
      texts: 2,
      rows: out.rows,
      checked: [{ hook, difference: 0, median: 0, max: 0 }],
    });
  }
  const wrong = ['import', 'activations', at('given'), at('wrong'), '--model', model];
  expect((await crosspatch([...wrong, '--vllm-layers', '1'])).err).toContain('differs by');
  expect((await crosspatch([...wrong, '--vllm-layers', '1', '--blocks', '0'])).err).toContain(
    'give one of them',
  );
});

it('a map is fitted on rows that came in, without the models', async () => {
  const at = (name: string): string => join(folder, name);
  const [counted, words] = [
    ['one', 'two', 'three', 'four'],
    ['five', 'prod', 'dev', 'is', '.'],
  ];
  const lines = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({ text: `${counted[i % 4]} plus ${words[i % 5]} ? ${counted[(i >> 2) % 4]} ${i}` }),
  );
  await writeFile(at('many.jsonl'), lines.join('\n'));
  const hook = 'blocks.1.hook_resid_post';
  const capture = [
    'capture',
    '--model',
    model,
    '--hook',
    hook,
    '--data',
    at('many.jsonl'),
    '--out',
    at('many'),
  ];
  await crosspatchJson(capture);
  await crosspatchJson(['export', 'activations', at('many'), at('many-given')]);
  await crosspatchJson(['import', 'activations', at('many-given'), at('many-in'), '--model', model]);
  const fitted = (kind: string) =>
    crosspatchJson(['map', 'fit-captures', at('many'), at('many-in'), '--kind', kind, '--out', at(kind)]);
  // Source and target are the same rows: the identity is exact, a ridge map nearly, the mean explains nothing.
  const same = await fitted('identity');
  expect(same).toMatchObject({ metrics: { test_mse: 0 }, source: { block: 1, hook, width: WIDTH } });
  expect((await fitted('affine')).metrics.test_fvu).toBeLessThan(0.05);
  expect((await fitted('mean')).metrics.test_fvu).toBeGreaterThan(0.9);
  const other = ['map', 'fit-captures', at('own'), at('many'), '--out', at('none')];
  expect((await crosspatch(other)).err).toContain('wanted captures of the same texts');
});
