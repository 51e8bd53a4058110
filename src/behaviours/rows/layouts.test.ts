/** @file Claims about the layouts of training data: each row becomes the right conversation, or is counted by its reason. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leftOutText, readInstructionFile, toInstruction } from '../instructions.ts';
import { readLayout } from './layouts.ts';

const U = { role: 'user', content: 'q' };
const A = { role: 'assistant', content: 'a' };
const human = { from: 'human', value: 'q' };
const gpt = { from: 'gpt', value: 'a' };

/** `system:s|user:q|assistant:a` of a record. */
function said(record: unknown): string {
  const { turns = [], layout } = readLayout(record, 'here') ?? {};
  return `${String(layout)}=${turns.map((t) => `${t.role}:${t.content}`).join('|')}`;
}

describe('layouts', () => {
  const single = 'user:q|assistant:a';
  it.each<[string, unknown, string]>([
    ['Alpaca', { instruction: 'q', input: '', output: 'a' }, `alpaca=${single}`],
    ['Alpaca with input', { instruction: 'q', input: 'x', output: 'a' }, 'alpaca=user:q\nx|assistant:a'],
    ['Dolly', { instruction: 'q', context: 'x', response: 'a' }, 'alpaca=user:q\nx|assistant:a'],
    [
      'LLaMA-Factory',
      { instruction: 'q', output: 'a', system: 's', history: [['h', 'i']] },
      `alpaca=system:s|user:h|assistant:i|${single}`,
    ],
    ['TRL prompt, completion', { prompt: 'q', completion: 'a' }, `prompt=${single}`],
    ['TRL conversational prompt', { prompt: [U], completion: [A] }, `prompt=${single}`],
    ['TRL unpaired, wanted', { prompt: 'q', completion: 'a', label: true }, `prompt=${single}`],
    ['OpenAI', { messages: [U, A] }, `messages=${single}`],
    ['ShareGPT', { conversations: [human, gpt] }, `messages=${single}`],
    ['conversations of roles', { conversations: [U, A] }, `messages=${single}`],
    ['ShareGPT with system', { system: 's', conversations: [human, gpt] }, `messages=system:s|${single}`],
    ['dialog', { dialog: [U, A] }, `messages=${single}`],
    ['UltraChat', { prompt: 'q', prompt_id: 'x', messages: [U, A] }, `messages=${single}`],
    [
      'parts',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'q' }] }, A] },
      `messages=${single}`,
    ],
    [
      'developer is system',
      { messages: [{ role: 'developer', content: 's' }, U, A] },
      `messages=system:s|${single}`,
    ],
    ['preference', { prompt: 'q', chosen: 'a', rejected: 'b' }, `preference=${single}`],
    ['preference of turns', { prompt: [U], chosen: [A], rejected: [U] }, `preference=${single}`],
    ['UltraFeedback', { prompt: 'q', chosen: [U, A], rejected: [U, A] }, `preference=${single}`],
    ['Orca pairs', { system: 's', question: 'q', chosen: 'a' }, `preference=system:s|${single}`],
    [
      'LLaMA-Factory preference',
      { conversations: [human], chosen: gpt, rejected: gpt },
      `preference=${single}`,
    ],
    ['HH-RLHF', { chosen: '\n\nHuman: q\n\nAssistant: a', rejected: '' }, `preference=${single}`],
    ['HH-RLHF split', { prompt: '\n\nHuman: q\n\nAssistant:', chosen: ' a' }, `preference=${single}`],
    ['OpenOrca', { system_prompt: 's', question: 'q', response: 'a' }, `question=system:s|${single}`],
    ['ms-swift', { query: 'q', response: 'a', history: null }, `question=${single}`],
    ['input, output', { input: 'q', output: 'a' }, `input=${single}`],
    ['nulls of a table', { chosen: null, messages: null, prompt: 'q', completion: 'a' }, `prompt=${single}`],
    ['text', { text: 'q' }, 'text=user:q'],
    ['a string', 'q', 'text=user:q'],
  ])('%s', (_, record, expected) => {
    expect(said(record)).toBe(expected);
  });

  it('keeps what a prompt and an answer do not say', () => {
    const call = { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f' } }] };
    const { prompt, answer, turns, tools } = toInstruction(
      { messages: [U, call, { role: 'tool', content: '3' }, A], tools: '[{"type":"function"}]' },
      'here',
    );
    expect([prompt, answer, tools]).toEqual(['q', undefined, [{ type: 'function' }]]);
    expect(turns?.[1]).toEqual({ role: 'assistant', content: '', fields: { tool_calls: call.tool_calls } });
    const weighted = toInstruction({ messages: [U, { ...A, weight: 0 }, U, { ...A, weight: 1 }] }, 'here');
    expect(weighted.turns?.map((t) => t.untaught ?? false)).toEqual([false, true, false, false]);
  });

  it('names a role nobody uses, and half a character', () => {
    expect(() => toInstruction({ messages: [U, { role: 'king', content: 'x' }] }, 'row 3')).toThrow(
      /row 3: turn 2: wanted a role .* got "king"/,
    );
    expect(() => toInstruction({ prompt: 'a\ud83d' }, 'row 3')).toThrow(/row 3: .*half a surrogate pair/);
  });
});

describe('files', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'layouts-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });
  const read = async (name: string, text: string | Uint8Array) => {
    await writeFile(join(folder, name), text);
    return readInstructionFile(join(folder, name));
  };
  const lines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

  it('counts rows of every layout and those left out, by reason', async () => {
    const image = { role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] };
    const file = await read(
      'mixed.jsonl',
      lines([
        ...Array.from({ length: 15 }, (_, i) => ({ instruction: `q ${i}`, output: `a ${i}` })),
        ...Array.from({ length: 15 }, (_, i) => ({ prompt: `p ${i}`, chosen: `a ${i}`, rejected: 'no' })),
        { prompt: ' ', completion: 'a' },
        { prompt: null, completion: 'a' },
        { messages: [] },
        { messages: [image, A] },
        { prompt: 'q', completion: 'bad', label: false },
      ]),
    );
    expect(file.instructions).toHaveLength(30);
    expect(file.instructions.every(({ answer }) => answer?.startsWith('a '))).toBe(true);
    expect(file.rows).toBe(35);
    expect(file.layouts).toEqual({ alpaca: 15, preference: 15 });
    expect(leftOutText(file.leftOut)).toBe(
      '3 without a prompt, 1 content that is not text (image_url), 1 labelled as not wanted',
    );
  });

  it('counts what a prompt and an answer do not say', async () => {
    const system = { role: 'system', content: 's' };
    const file = await read('turns.jsonl', lines([{ messages: [system, U, A] }, { messages: [U, A, U, A] }]));
    expect(file.partial).toEqual({ system: 1, turns: 1, tools: 0 });
  });

  it('splits at line feeds only, skips the byte-order mark, takes CRLF', async () => {
    const text = 'first\u2028second\u2029third\u0085fourth';
    const row = { prompt: 'q', completion: text };
    for (const [name, data] of [
      ['separators.jsonl', lines([row, row])],
      ['bom.jsonl', `\ufeff${lines([row, row])}`],
      ['crlf.jsonl', `\ufeff${lines([row, row]).replaceAll('\n', '\r\n')}`],
      ['bom.json', `\ufeff${JSON.stringify([row, row])}`],
      ['lines.json', lines([row, row])],
      ['wrapped.json', JSON.stringify({ data: [row, row] }, null, 2)],
    ] as const)
      expect((await read(name, data)).instructions, name).toEqual([
        { prompt: 'q', answer: text },
        { prompt: 'q', answer: text },
      ]);
  });

  it('names line and byte of what is not UTF-8', async () => {
    const latin1 = Buffer.from('{"prompt":"a"}\n{"prompt":"caf\u00e9"}\n', 'latin1');
    await expect(read('latin1.jsonl', latin1)).rejects.toThrow(/latin1.jsonl line 2, byte 15: .*0xe9/);
  });

  it('says why none of the rows can be used', async () => {
    await expect(read('none.jsonl', lines([{ prompt: '' }, { messages: [] }]))).rejects.toThrow(
      /none of 2 rows can be used: 2 without a prompt/,
    );
  });
});
