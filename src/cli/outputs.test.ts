/** @file No command deletes what it did not make: `--out` over other people's files, or over what is read, ends with exit 2 before any work. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crosspatch } from './crosspatch.helper.ts';

let root = '';
let rows = '';
let recipe = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch outputs '));
  rows = join(root, 'rows.jsonl');
  recipe = join(root, 'x.yaml');
  await writeFile(rows, '{"prompt": "one plus one", "response": "two"}\n'.repeat(8));
  await writeFile(recipe, 'models: { source: tiny-llama-s, target: tiny-llama-m }\n');
});
afterAll(() => rm(root, { recursive: true, force: true }));

const pair = [
  '--source',
  'tiny-llama-s',
  '--target',
  'tiny-llama-m',
  '--source-block',
  '1',
  '--target-block',
  '1',
];
const FOLDERS: readonly (readonly [string, (out: string) => string[]])[] = [
  [
    'finetune',
    (out) => ['finetune', '--model', 'tiny-llama-s', '--data', rows, '--steps', '1', '--out', out],
  ],
  [
    'finetune lora',
    (out) => ['finetune', '--model', 'tiny-llama-s', '--data', rows, '--method', 'lora', '--out', out],
  ],
  ['data build', (out) => ['data', 'build', '--data', rows, '--behaviour', 'locked', '--out', out]],
  ['map fit', (out) => ['map', 'fit', ...pair, '--texts', rows, '--kind', 'mean', '--out', out]],
  [
    'capture',
    (out) => [
      'capture',
      '--model',
      'tiny-llama-s',
      '--hook',
      'blocks.0.hook_resid_post',
      '--data',
      rows,
      '--out',
      out,
    ],
  ],
  ['models convert', (out) => ['models', 'convert', 'tiny-llama-s', out, '--overwrite']],
  ['run', (out) => ['run', recipe, '--out', out]],
];

describe.each(FOLDERS)('%s', (name, argv) => {
  it('refuses a folder with other files, and keeps them', async () => {
    const out = join(root, `mine ${name}`);
    await mkdir(join(out, 'deep'), { recursive: true });
    await writeFile(join(out, 'deep/thesis.tex'), 'years of work');
    await writeFile(join(out, 'index.html'), 'mine');
    const { code, err } = await crosspatch([...argv(out), '--quiet']);
    expect(err).toMatch(/holds/);
    expect(code).toBe(2);
    expect(await readFile(join(out, 'deep/thesis.tex'), 'utf8')).toBe('years of work');
    expect(await readFile(join(out, 'index.html'), 'utf8')).toBe('mine');
  });
});

describe.each(FOLDERS.slice(0, 5))('%s', (name, argv) => {
  it('a second writer of the folder is told that it is in use', async () => {
    const out = join(root, `busy ${name}`);
    const lock = join(root, `.busy ${name}.lock`);
    await writeFile(lock, JSON.stringify({ pid: 1, host: hostname(), started: null }));
    const { code, err } = await crosspatch([...argv(out), '--quiet']);
    expect(err).toMatch(/in use by process 1; wait for it or choose another folder/);
    expect(code).toBe(2);
    await rm(lock);
  });
});

it('a model is not replaced by what is made from it', async () => {
  const model = join(root, 'model');
  expect((await crosspatch(['models', 'convert', 'tiny-llama-s', model, '--quiet'])).code).toBe(0);
  const weights = await readFile(join(model, 'model.safetensors'));
  for (const argv of [
    ['finetune', '--model', model, '--data', rows, '--steps', '1', '--out', model],
    ['models', 'convert', model, model, '--overwrite'],
  ]) {
    const { code, err } = await crosspatch([...argv, '--quiet']);
    expect(err).toMatch(/is read from there; choose another place to write/);
    expect(code).toBe(2);
  }
  expect(weights.equals(await readFile(join(model, 'model.safetensors')))).toBe(true);
});
