/** @file `crosspatch capabilities`: figures, samples, shots, steering, and what it refuses. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wilson } from '../stats/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

const rows = (name: string): string =>
  fileURLToPath(new URL(`../../test/parity/tasks/${name}`, import.meta.url));
const command = ['capabilities', '--model', 'tiny-qwen'];

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'capabilities-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

it('prints shares with n and interval, and writes the items they are of', async () => {
  const samples = join(root, 'samples.jsonl');
  const given = [...command, '--data', `arc_easy=${rows('arc_easy.jsonl')}`, '--data', `mmlu=${rows('hub')}`];
  const argv = [...given, '--limit', '5', '--samples', samples];
  const { model, tasks } = await crosspatchJson(argv);
  expect(model).toBe('tiny-qwen');
  expect(Object.keys(tasks)).toEqual(['arc_easy', 'mmlu']);
  const lines = (await readFile(samples, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.length).toBe(5 + 4 * 5);
  for (const [task, score] of [
    ['arc_easy', 'acc'],
    ['arc_easy', 'acc_norm'],
    ['mmlu', 'acc'],
  ] as const) {
    const own = lines.filter((line) => line.task === task);
    const k = own.filter((line) => line.scores[score] === 1).length;
    expect(tasks[task][score]).toEqual({ value: k / own.length, n: own.length, ci95: wilson(k, own.length) });
    for (const line of own) {
      const best = line.logprobs.indexOf(Math.max(...line.logprobs));
      expect(line.scores.acc).toBe(best === line.gold ? 1 : 0);
    }
  }
  expect(tasks.mmlu.acc_norm).toBeUndefined();
  expect(Object.keys(tasks.mmlu.subjects).length).toBe(4);
  const again = await crosspatch([...argv, '--require', 'tasks.arc_easy.acc>=1.1']);
  expect(again.code).toBe(100);
  expect(again.out).toMatch(/^task +score +value +n +95 % interval +shots\narc_easy +acc +0\.\d+ +5 +\[/);
});

it('says where shots come from, and which questions were cut', async () => {
  const data = ['--data', `gsm8k=${rows('gsm8k.jsonl')}`, '--limit', '2'];
  const { out, code } = await crosspatch([...command, ...data, '--num-fewshot', '8', '--quiet']);
  expect(code).toBe(0);
  expect(out).toMatch(/gsm8k +exact_match, strict-match +[\d.]+ +2 .* 8\n/);
  expect(out).toContain(
    'gsm8k: 2 items, 8 shots before each, from 42 rows of the same file that are not scored',
  );
  expect(out).toContain("gsm8k: 2 of 2 questions with their shots were longer than the model's context");
  const { tasks } = await crosspatchJson([
    ...command,
    ...data,
    '--shots',
    `gsm8k=${rows('gsm8k.shots.jsonl')}`,
    '--num-fewshot',
    '1',
  ]);
  expect(tasks.gsm8k).toMatchObject({
    num_fewshot: 1,
    shots: { from: 'own', rows: 30 },
    cut: 0,
    exact_match: { 'strict-match': { n: 2 }, 'flexible-extract': { n: 2 } },
  });
});

it('carries out an intervention in every question', async () => {
  const edit = join(root, 'edit.json');
  await writeFile(
    edit,
    JSON.stringify({
      interventions: [{ op: 'suppress', hook: 'blocks.2.hook_resid_post', tokens: { match: 'Answer' } }],
    }),
  );
  const asked = async (...more: string[]) => {
    const samples = join(root, `${more.length}.jsonl`);
    const data = ['--data', `arc_challenge=${rows('arc_challenge.jsonl')}`, '--limit', '3'];
    await crosspatchJson([...command, ...data, '--samples', samples, ...more]);
    return (await readFile(samples, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).logprobs);
  };
  const [plain, steered] = [await asked(), await asked('--intervention', edit)];
  for (const [i, logprobs] of plain.entries())
    for (const [k, x] of logprobs.entries()) expect(Math.abs(x - steered[i][k])).toBeGreaterThan(1e-3);
});

describe('refuses', () => {
  it.each([
    [['--data', 'arc=x'], '--data arc=x: wanted task=path with one of gsm8k, arc_easy'],
    [['--data', 'x.jsonl'], '--data x.jsonl: wanted task=path'],
    [['--data', 'gsm8k=x', '--data', 'gsm8k=y'], 'gsm8k was given before'],
    [['--data', 'gsm8k=nowhere.jsonl'], 'gsm8k: wanted a file or folder of rows at nowhere.jsonl'],
    [['--data', 'gsm8k=x', '--shots', 'mmlu=y'], '--shots mmlu: no rows of this task are asked'],
    [['--data', `gsm8k=${rows('arc_easy.jsonl')}`], 'answer: wanted text, got nothing'],
    [['--data', `gsm8k=${rows('gsm8k.jsonl')}`, '--num-fewshot', '44'], 'gsm8k: 44 shots need'],
    [['--data', `gsm8k=${rows('gsm8k.jsonl')}`, '--limit', '0'], '--limit 0: wanted a whole number from 1'],
  ])('%s', async (given, message) => {
    const { code, out, err } = await crosspatch([...command, ...given]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
    expect(err.trim().split('\n').length).toBe(1);
  });

  it('to write over something else', async () => {
    const other = join(root, 'notes.txt');
    await writeFile(other, 'mine\n');
    const data = ['--data', `arc_easy=${rows('arc_easy.jsonl')}`];
    const { code } = await crosspatch([...command, ...data, '--samples', other]);
    expect(code).toBe(2);
    expect(await readFile(other, 'utf8')).toBe('mine\n');
  });
});
