/** @file Claims about reading instructions in every format and shape. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../base/index.ts';
import { firstTurns, readInstructions, readTexts, toInstruction } from './instructions.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'instructions-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const save = async (name: string, data: string | Uint8Array): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, data);
  return path;
};

/** Columns instruction, input, output; rows ("Name a fruit.", "", "Apple") and ("Add the numbers.", "3 4", "7"). */
const PARQUET =
  'UEFSMRUGFU4VUlwVBBUAFQQVABUEFQAAAAMDJZANAAAATmFtZSBhIGZydWl0LhAAAABBZGQgdGhlIG51bWJlcnMuFQYVGhUeXBUEFQAVBBUAFQQVAAAAAwMLKAAAAAADAAAAMyA0FQYVIBUkXBUEFQAVBBUAFQQVAAAAAwMONAUAAABBcHBsZQEAAAA3FQQZTEgEcm9vdBUGABUMJQIYC2luc3RydWN0aW9uJQAAFQwlAhgFaW5wdXQlAAAVDCUCGAZvdXRwdXQlAAAWBBkcGTwmCBwVDBkVABkYC2luc3RydWN0aW9uFQIWBBZ4FnwmCAAAJoQBHBUMGRUAGRgFaW5wdXQVAhYEFkQWSCaEAQAAJswBHBUMGRUAGRgGb3V0cHV0FQIWBBZKFk4mzAEAABaGAhYENpICACgJaHlwYXJxdWV0GTwcAAAcAAAcAAAAwwAAAFBBUjE=';

describe('shapes', () => {
  it.each([
    [
      { prompt: ' Hi ', response: ' Yo ' },
      { prompt: 'Hi', answer: 'Yo' },
    ],
    [{ prompt: 'Hi' }, { prompt: 'Hi' }],
    [{ prompt: 'Hi', response: '  ' }, { prompt: 'Hi' }],
    [
      { instruction: 'Add.', input: '3 4', output: '7' },
      { prompt: 'Add.\n3 4', answer: '7' },
    ],
    [
      { instruction: 'Add.', input: ' ', output: '7' },
      { prompt: 'Add.', answer: '7' },
    ],
    [
      { question: 'How?', answer: 'So.' },
      { prompt: 'How?', answer: 'So.' },
    ],
    [
      {
        messages: [
          { role: 'user', content: 'u' },
          { role: 'assistant', content: 'a' },
        ],
      },
      { prompt: 'u', answer: 'a' },
    ],
    [
      { chosen: '\n\nHuman: a?\n\nAssistant: b', rejected: 'c' },
      { prompt: 'a?', answer: 'b' },
    ],
  ])('%j', (record, expected) => {
    expect(toInstruction(record, 'here')).toEqual(expected);
  });

  it('that are unknown are an input error saying where', () => {
    for (const record of [{ body: 'x' }, ['x'], null, 7, { prompt: 3 }, { chosen: 7 }])
      expect(() => toInstruction(record, 'file row 3')).toThrow(
        /^data: file row 3: wanted text under chosen/,
      );
  });
});

it('takes the first turns of a dialogue', () => {
  const dialogue = '\n\nHuman: one\n\n\ntwo\n\nAssistant: first\n\nmore\n\nHuman: again\n\nAssistant: second';
  expect(firstTurns(dialogue)).toEqual({ prompt: 'one\ntwo', answer: 'first\n\nmore' });
  expect(firstTurns('\n\nHuman: alone')).toEqual({ prompt: 'alone', answer: '' });
  expect(firstTurns('nothing')).toEqual({ prompt: '', answer: '' });
});

describe('files', () => {
  const lines = '{"prompt":"a","response":"1"}\n\n{"prompt":"  "}\n{"prompt":"b"}\n{"prompt":"c"}';
  const read = [{ prompt: 'a', answer: '1' }, { prompt: 'b' }, { prompt: 'c' }];

  it('JSONL, plain and gzipped; empty lines and empty prompts dropped', async () => {
    expect(await readInstructions(await save('a.jsonl', lines))).toEqual(read);
    expect(await readInstructions(await save('a.jsonl.gz', gzipSync(lines)))).toEqual(read);
    expect(await readInstructions(join(folder, 'a.jsonl'), { limit: 2 })).toEqual(read.slice(0, 2));
  });

  it('JSON and Parquet', async () => {
    const json = await save('a.json', '[{"prompt":"a"},{"instruction":"b"}]');
    expect(await readInstructions(json)).toEqual([{ prompt: 'a' }, { prompt: 'b' }]);
    const parquet = await save('a.parquet', Buffer.from(PARQUET, 'base64'));
    expect(await readInstructions(parquet)).toEqual([
      { prompt: 'Name a fruit.', answer: 'Apple' },
      { prompt: 'Add the numbers.\n3 4', answer: '7' },
    ]);
  });

  it('that are wrong are input errors', async () => {
    await expect(readInstructions(join(folder, 'none.jsonl'))).rejects.toThrow(/found none/);
    await expect(readInstructions(await save('bad.jsonl', '{"prompt":"a"}\n{'))).rejects.toThrow(
      /bad.jsonl line 2/,
    );
    await expect(readInstructions(await save('empty.jsonl', ''))).rejects.toThrow(/holds no instruction/);
    await expect(readInstructions(await save('bad.json', '{}'))).rejects.toThrow(InputError);
    await expect(readInstructions(await save('bad.parquet', 'PAR1'))).rejects.toThrow(InputError);
    const cut = gzipSync(lines.repeat(50)).subarray(0, 60);
    await expect(readInstructions(await save('cut.jsonl.gz', cut))).rejects.toThrow(InputError);
  });
});

describe('texts', () => {
  it('are rows as they are, or the prompts of conversations; ids are kept', async () => {
    const path = await save(
      'texts.jsonl',
      '{"id":"a","prompt":"x"}\n\n" plain"\n{"question":"q"}\n{"text":" t\\n"}\n{"messages":[{"role":"user","content":"m"}]}\n{"prompt":" "}\n',
    );
    expect(await readTexts(path)).toEqual({
      texts: [
        { id: 'a', text: 'x' },
        { id: '2', text: ' plain' },
        { id: '3', text: 'q' },
        { id: '4', text: ' t\n' },
        { id: '5', text: 'm' },
      ],
      leftOut: { 'without a prompt': 1 },
    });
    expect((await readTexts(path, { limit: 2 })).texts).toHaveLength(2);
    await expect(readTexts(path, { field: 'question' })).rejects.toThrow(
      /texts.jsonl line 1: wanted text under question, got id, prompt/,
    );
    await expect(readTexts(await save('empty.jsonl', ''))).rejects.toThrow(/holds no text/);
  });
});
