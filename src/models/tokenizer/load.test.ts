/** @file Folders as Hugging Face writes them, whole and damaged. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { spmMetadata, wordLevelFiles } from './fixtures.helper.ts';
import { loadTokenizer } from './load.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-tokenizer-'));
  await put('tokenizer.json', wordLevelFiles.tokenizerJson);
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, value: unknown): Promise<void> {
  await writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
}

describe('loadTokenizer', () => {
  it('reads tokenizer.json alone', async () => {
    const tokenizer = await loadTokenizer({ folder });
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.chatTemplate]).toEqual([undefined, [], undefined]);
  });

  it('takes special tokens as strings or objects, from either file', async () => {
    await put('tokenizer_config.json', {
      bos_token: { content: '<s>', lstrip: false },
      chat_template: [
        { name: 'default', template: 'A' },
        { name: 'tools', template: 'B' },
      ],
    });
    await put('special_tokens_map.json', { eos_token: '</s>' });
    const tokenizer = await loadTokenizer({ folder });
    expect([tokenizer.bosId, tokenizer.eosIds]).toEqual([1, [2]]);
    expect(tokenizer.applyChatTemplate([], { template: 'tools' })).toBe('B');
  });

  it('takes every end token of generation_config.json, and config.json where there is none', async () => {
    await put('tokenizer_config.json', { eos_token: '</s>', chat_template: 'old' });
    await put('config.json', { eos_token_id: 5, bos_token_id: 1, pad_token_id: null });
    expect((await loadTokenizer({ folder })).eosIds).toEqual([5, 2]);
    expect((await loadTokenizer({ folder })).bosId).toBe(1);
    await put('generation_config.json', { eos_token_id: [2, 7] });
    await put('chat_template.jinja', 'new');
    const tokenizer = await loadTokenizer({ folder });
    expect([tokenizer.eosIds, tokenizer.chatTemplate]).toEqual([[2, 7], 'new']);
  });

  it('reads GGUF metadata', async () => {
    const tokenizer = await loadTokenizer({ gguf: spmMetadata() });
    expect(tokenizer.encode('the').tokens).toEqual(['<bos>', 'the']);
  });

  it.each([
    ['garbage', 'tokenizer.json', '{"model": ', /does not parse/],
    ['no object', 'tokenizer.json', '[]', /wanted an object/],
    ['another file', 'tokenizer.json', '{"architectures": ["X"]}', /unknown option/],
    ['no model', 'tokenizer.json', '{"version": "1.0"}', /is this a tokenizer.json/],
    [
      'no merges',
      'tokenizer.json',
      { model: { type: 'BPE', vocab: { a: 0 } } },
      /model\.merges: wanted an array/,
    ],
    [
      'merges of unknown tokens',
      'tokenizer.json',
      { model: { type: 'BPE', vocab: { a: 0 }, merges: ['a b'] } },
      /merges\[0\]/,
    ],
    [
      'a model we do not run',
      'tokenizer.json',
      { model: { type: 'Unigram', vocab: [] } },
      /"Unigram" is not supported/,
    ],
    [
      'two tokens of one id',
      'tokenizer.json',
      { model: { type: 'WordLevel', unk_token: 'a', vocab: { a: 0, b: 0 } } },
      /a different id/,
    ],
    [
      'an unknown option',
      'tokenizer.json',
      { ...wordLevelFiles.tokenizerJson, normalizer: { type: 'NFC', sharp: true } },
      /unknown option "sharp"/,
    ],
    [
      'a BOS of the wrong type',
      'tokenizer_config.json',
      { bos_token: 7 },
      /bos_token: wanted an object, got 7/,
    ],
    [
      'a list of added tokens without ids',
      'tokenizer_config.json',
      { added_tokens_decoder: { x: { content: 'a' } } },
      /added_tokens_decoder: wanted token ids as keys, got "x"/,
    ],
    ['a flag of the wrong type', 'tokenizer_config.json', { add_bos_token: 'yes' }, /add_bos_token/],
    ['an end token of the wrong type', 'generation_config.json', { eos_token_id: ['x'] }, /eos_token_id/],
  ])('refuses %s in one line', async (_, name, content, message) => {
    await put(name, content);
    const error = await loadTokenizer({ folder }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });

  it('says what is missing', async () => {
    await rm(join(folder, 'tokenizer.json'));
    await expect(loadTokenizer({ folder })).rejects.toThrow(/tokenizer.json is missing/);
  });
});
