import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CAPABILITY_TASKS, type CapabilityTask } from '../../contracts/index.ts';
import { askTask, contextOf, readTaskItems, taskFiles } from './index.ts';
import { capitalize, rstrip, strip } from './python-text.ts';

const ROWS = fileURLToPath(new URL('../../../test/parity/tasks/', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tasks-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('rows', () => {
  it.each(['arc_easy', 'mmlu', 'hellaswag', 'gsm8k'] as const)(
    "%s: the hub's folder of Parquet holds what the lines of JSON hold",
    async (task) => {
      const { scored, shots } = await taskFiles(task, join(ROWS, 'hub'));
      expect(scored.length).toBe(task === 'arc_easy' ? 2 : 1);
      expect(await readTaskItems(task, scored)).toEqual(
        await readTaskItems(task, [join(ROWS, `${task}.jsonl`)]),
      );
      expect(shots?.length).toBe(task === 'arc_easy' ? 1 : undefined);
    },
  );

  const right = {
    arc_easy: { question: 'q', choices: { text: ['a', 'b'], label: ['1', '2'] }, answerKey: '2' },
    mmlu: { question: ' q ', subject: 'us_law', choices: ['a', 'b', 'c', 'd'], answer: 3 },
    hellaswag: { activity_label: 'L', ctx_a: 'A.', ctx_b: 'ÉTÉ x', endings: ['e', '[t] f'], label: '1' },
    gsm8k: { question: 'q', answer: 'w\n#### 4' },
  };

  it.each([
    ['arc_easy', { ...right.arc_easy, answerKey: 'C' }, 'answerKey: wanted one of choices.label, got "C"'],
    ['arc_easy', { ...right.arc_easy, choices: ['a'] }, 'choices: wanted an object'],
    ['arc_easy', { question: 'q' }, 'choices: wanted an object of the lists text and label, got nothing'],
    [
      'arc_challenge',
      { ...right.arc_easy, choices: { text: ['a'], label: ['1', '2'] } },
      'choices: wanted as many',
    ],
    ['mmlu', { ...right.mmlu, choices: ['a', 'b', 'c'] }, 'choices: wanted a list of 4 texts'],
    ['mmlu', { ...right.mmlu, answer: 4 }, 'answer: wanted a number from 0 to 3, got 4'],
    ['mmlu', { ...right.mmlu, answer: 'D' }, 'answer: wanted'],
    ['mmlu', { ...right.mmlu, answer: 1.5 }, 'answer: wanted'],
    ['hellaswag', { ...right.hellaswag, label: '' }, 'label: wanted the number of a choice, from 0, got ""'],
    ['hellaswag', { ...right.hellaswag, label: '2' }, 'label: wanted the number of an ending'],
    ['gsm8k', { question: 'q' }, 'answer: wanted text, got nothing'],
    ['gsm8k', 'q', 'a row: wanted an object, got "q"'],
  ] as const)('%s: a row that is not of the layout is refused by its line', async (task, row, message) => {
    const file = join(folder, 'rows.jsonl');
    const good = task === 'arc_challenge' ? right.arc_easy : right[task];
    await writeFile(file, `${JSON.stringify(good)}\n${JSON.stringify(row)}\n`);
    await expect(readTaskItems(task, [file])).rejects.toThrow(`${task}: ${file} line 2: ${message}`);
  });

  it('says what is missing', async () => {
    const file = join(folder, 'empty.jsonl');
    await writeFile(file, '\n');
    await expect(readTaskItems('gsm8k', [file])).rejects.toThrow('holds no row');
    await expect(taskFiles('gsm8k', join(folder, 'nowhere'))).rejects.toThrow('found none');
    await expect(taskFiles('hellaswag', folder)).rejects.toThrow('validation.jsonl or validation-00000-of');
  });
});

describe('shots', () => {
  const items = (task: CapabilityTask): ReturnType<typeof readTaskItems> =>
    readTaskItems(task, [join(ROWS, `${task}.jsonl`)]);

  it.each(CAPABILITY_TASKS)('%s: no row is a shot and scored', async (task) => {
    const rows = await items(task);
    for (const limit of [3, 1000]) {
      const { items: asked, shots } = askTask(task, rows, undefined, { limit, fewshot: 2 });
      expect(shots).toMatchObject({ n: 2, from: 'rest' });
      const scored = new Set(asked.map(({ id }) => id));
      const left = rows
        .filter(({ id }) => !scored.has(id))
        .map(({ question: { before, text, after }, answer }) => `${before}${text}${after} ${answer}`);
      for (const { head } of asked) {
        const parts = head.split('\n\n').slice(task === 'mmlu' ? 1 : 0, -1);
        expect(parts.length).toBe(2);
        for (const shot of parts) expect(left).toContain(shot);
      }
    }
  });

  it('rows for shots are what is left; too few are kept back at the end', async () => {
    const rows = await items('gsm8k');
    expect(askTask('gsm8k', rows, undefined, { limit: 10 })).toMatchObject({
      items: { length: 10 },
      shots: { n: 5, from: 'rest', rows: 34 },
    });
    expect(askTask('gsm8k', rows, undefined)).toMatchObject({ items: { length: 39 }, shots: { rows: 5 } });
    expect(askTask('gsm8k', rows, rows)).toMatchObject({
      items: { length: 44 },
      shots: { from: 'own', rows: 44 },
    });
    expect(() => askTask('gsm8k', rows.slice(0, 5), undefined)).toThrow('gsm8k: 5 shots need');
    expect(() => askTask('gsm8k', rows, rows.slice(0, 4))).toThrow('got 4 rows for shots');
  });

  it("counts mmlu by subject, with the subject's description and its first rows as shots", async () => {
    const rows = await items('mmlu');
    const { items: asked } = askTask('mmlu', rows, undefined, { limit: 1, fewshot: 1 });
    expect(asked.map(({ id }) => id)).toEqual([
      'astronomy/0',
      'high_school_geography/0',
      'elementary_mathematics/0',
      'us_foreign_policy/0',
    ]);
    expect(contextOf(asked[3]!)).toMatch(
      /^The following are multiple choice questions \(with answers\) about us foreign policy\.\n\nWhich office speaks for a country abroad\?\nA\. .*\nB\. .*\nC\. .*\nD\. .*\nAnswer: [ABCD]\n\nWhere does the United Nations meet\?\nA\. (.*\n){4}Answer:$/,
    );
  });
});

it("strips and capitalises as Python's str does", () => {
  // repr of 'x'.strip() and .capitalize() in CPython 3.11
  expect(strip('\u001c \u0085\u3000x y\u2029\u001f')).toBe('x y');
  expect(strip('\ufeffx\u200b')).toBe('\ufeffx\u200b');
  expect(rstrip(' x \n')).toBe(' x');
  expect(capitalize('')).toBe('');
  expect(capitalize('the MAN')).toBe('The man');
  expect(capitalize('ßx')).toBe('Ssx');
  expect(capitalize('ÉTÉ')).toBe('Été');
});
