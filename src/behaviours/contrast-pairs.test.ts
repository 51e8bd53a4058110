import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readContrastPairs } from './contrast-pairs.ts';

let folder: string;
const file = async (name: string, rows: readonly object[]): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-pairs-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const ANSWERS = { behaviour: '(A)', other: '(B)' };

it('gives every pair its answers: those of its row, else those of all', async () => {
  const path = await file('pairs.jsonl', [
    { positive: 'p', negative: 'n', answer_matching_behavior: '(B)', answer_not_matching_behavior: '(A)' },
    { positive: 'q', negative: 'm' },
  ]);
  expect(await readContrastPairs(path)).toEqual([
    { bad: 'p', safe: 'n' },
    { bad: 'q', safe: 'm' },
  ]);
  expect(await readContrastPairs(path, { choice: { answers: ANSWERS } })).toEqual([
    { bad: 'p', safe: 'n', answers: { behaviour: '(B)', other: '(A)' } },
    { bad: 'q', safe: 'm', answers: ANSWERS },
  ]);
  await expect(readContrastPairs(path, { choice: {} })).rejects.toThrow(/row 2 has no answers/);
  const half = await file('half.jsonl', [{ positive: 'p', negative: 'n', answer_matching_behavior: 'A' }]);
  await expect(readContrastPairs(half, { choice: {} })).rejects.toThrow(
    'wanted text under answer_not_matching_behavior',
  );
});

it('makes two prompts of a question by what stands before it', async () => {
  const path = await file('caa.jsonl', [
    { question: 'Q?', answer_matching_behavior: '(B)', answer_not_matching_behavior: '(A)' },
  ]);
  await expect(readContrastPairs(path)).rejects.toThrow('holds two answers to a question');
  await expect(readContrastPairs(path, { choice: {} })).rejects.toThrow('texts that go before each question');
  const before = { bad: 'Flatter.', safe: 'Be honest.' };
  expect(await readContrastPairs(path, { choice: { before } })).toEqual([
    { bad: 'Flatter.\n\nQ?', safe: 'Be honest.\n\nQ?', answers: { behaviour: '(B)', other: '(A)' } },
  ]);
});

it('takes two files of prompts with the answers of all', async () => {
  const [bad, safe] = [await file('bad.jsonl', [{ text: 'p' }]), await file('safe.jsonl', [{ text: 'n' }])];
  expect(await readContrastPairs(bad, { safeFile: safe, choice: { answers: ANSWERS } })).toEqual([
    { bad: 'p', safe: 'n', answers: ANSWERS },
  ]);
});
