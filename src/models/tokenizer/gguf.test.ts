/** @file Tokenizers rebuilt from GGUF metadata: SentencePiece against its own algorithm, byte-level BPE against its recipe. */
import { describe, expect, it } from 'vitest';
import { InputError, Rng } from '../../base/index.ts';
import { BYTE_TO_CHAR } from './bytes.ts';
import { spmMetadata } from './fixtures.helper.ts';
import { tokenizerFilesFromGguf, tokenizerJsonFromGguf, tokenizerTextsFromGguf } from './gguf.ts';
import { tokenizerFromFiles } from './load.ts';

/** SentencePiece's own BPE: join the neighbours whose join scores best, the leftmost first; what is left unknown becomes bytes. */
function sentencePiece(
  text: string,
  tokens: readonly string[],
  scores: ArrayLike<number>,
  firstPiece: number,
): string[] {
  const scoreOf = new Map(tokens.map((t, i): [string, number] => [t, scores[i]]).slice(firstPiece));
  const symbols = Array.from(text.replaceAll(' ', '▁'));
  for (;;) {
    let best = { at: -1, score: Number.NEGATIVE_INFINITY };
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scoreOf.get(`${symbols[i]}${symbols[i + 1]}`);
      if (score !== undefined && score > best.score) best = { at: i, score };
    }
    if (best.at < 0) break;
    symbols.splice(best.at, 2, `${symbols[best.at]}${symbols[best.at + 1]}`);
  }
  return symbols.flatMap((s) =>
    scoreOf.has(s)
      ? [s]
      : Array.from(Buffer.from(s, 'utf8'), (b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
}

const byteLevel = (keys: Record<string, unknown> = {}): Record<string, unknown> => ({
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': ['<|endoftext|>', '<|im_end|>', ...BYTE_TO_CHAR, '12', 'ab', 'Ġab'],
  'tokenizer.ggml.token_type': [3, 3, ...Array.from({ length: 259 }, () => 1)],
  'tokenizer.ggml.merges': ['1 2', 'a b', 'Ġ ab'],
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 1,
  ...keys,
});

describe('SentencePiece', () => {
  const metadata = spmMetadata();
  const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
  const tokenizer = tokenizerFromFiles(tokenizerFilesFromGguf(metadata));

  it('gives what SentencePiece gives', () => {
    const rng = new Rng(4);
    for (let round = 0; round < 300; round++) {
      // One space at a time: runs of spaces are one user-defined token here, which SentencePiece matches beforehand.
      const text = Array.from({ length: 1 + rng.int(40) }, () =>
        rng.pick(['t', 'h', 'e', 'r', 'e', ' t', ' th', 'é', 'z', '日', '😀']),
      ).join('');
      const wanted = sentencePiece(text, tokens, metadata.get('tokenizer.ggml.scores') as Float32Array, 261);
      expect(tokenizer.encode(text, { addSpecialTokens: false }).tokens).toEqual(wanted);
    }
  });

  it('reads runs of spaces, which GGUF stores as spaces, as runs of ▁', () => {
    expect(tokenizer.encode('the  the').tokens).toEqual(['<bos>', 'the', '▁▁', 'the']);
  });

  it('puts a space in front where the model wants one, and takes it away again', () => {
    const prefixed = tokenizerFromFiles(
      tokenizerFilesFromGguf(spmMetadata({ 'tokenizer.ggml.add_space_prefix': true })),
    );
    const { tokens, ids, offsets } = prefixed.encode('the');
    expect(tokens).toEqual(['<bos>', '▁the']);
    expect(offsets).toEqual([
      [0, 0],
      [0, 3],
    ]);
    expect(prefixed.decode(ids, { skipSpecialTokens: true })).toBe('the');
  });

  it('follows the flags for BOS and EOS', () => {
    const ends = tokenizerFromFiles(
      tokenizerFilesFromGguf(
        spmMetadata({ 'tokenizer.ggml.add_bos_token': false, 'tokenizer.ggml.add_eos_token': true }),
      ),
    );
    expect(ends.encode('the').tokens).toEqual(['the', '<eos>']);
  });
});

describe('byte-level BPE', () => {
  const tokensOf = (pre: string, text: string): string[] =>
    tokenizerFromFiles(tokenizerFilesFromGguf(byteLevel({ 'tokenizer.ggml.pre': pre }))).encode(text, {
      addSpecialTokens: false,
    }).tokens;

  it('cuts words as `tokenizer.ggml.pre` says', () => {
    expect(tokensOf('smollm', 'ab ab12')).toEqual(['ab', 'Ġab', '1', '2']);
    expect(tokensOf('default', 'ab ab12')).toEqual(['ab', 'Ġab', '12']);
    expect(tokensOf('llama-bpe', 'ab ab1212')).toEqual(['ab', 'Ġab', '12', '1', '2']);
    expect(tokensOf('qwen2', 'ab ab12')).toEqual(['ab', 'Ġab', '1', '2']);
  });

  it('adds BOS by flag, or by the custom of the kind where there is no flag', () => {
    const first = (keys: Record<string, unknown>): string | undefined =>
      tokenizerFromFiles(tokenizerFilesFromGguf(byteLevel(keys))).encode('ab').tokens[0];
    expect(first({})).toBe('ab');
    expect(first({ 'tokenizer.ggml.pre': 'llama-bpe' })).toBe('<|endoftext|>');
    expect(first({ 'tokenizer.ggml.add_bos_token': true })).toBe('<|endoftext|>');
  });

  it('ends generation at every end token it is told of', () => {
    const files = tokenizerFilesFromGguf(
      byteLevel({
        'tokenizer.ggml.eos_token_id': 0,
        'tokenizer.chat_template': "{{ messages[0]['content'] }}<|im_end|>",
      }),
    );
    const tokenizer = tokenizerFromFiles(files);
    expect(tokenizer.eosIds).toEqual([0, 1]);
    expect(tokenizer.applyChatTemplate([{ role: 'user', content: 'ab' }])).toBe('ab<|im_end|>');
  });

  it('writes files that give the same tokenizer', () => {
    const texts = tokenizerTextsFromGguf(byteLevel());
    expect(JSON.parse(texts['tokenizer.json'])).toEqual(
      JSON.parse(JSON.stringify(tokenizerJsonFromGguf(byteLevel()))),
    );
    expect(JSON.parse(texts['tokenizer_config.json'])).toMatchObject({
      bos_token: '<|endoftext|>',
      eos_token: '<|im_end|>',
    });
  });
});

it.each([
  ['an unknown model', byteLevel({ 'tokenizer.ggml.model': 'rwkv' }), /tokenizer.ggml.model/],
  ['an unknown pre-tokeniser', byteLevel({ 'tokenizer.ggml.pre': 'deepseek-llm' }), /deepseek-llm/],
  ['missing merges', byteLevel({ 'tokenizer.ggml.merges': undefined }), /tokenizer.ggml.merges/],
  ['tokens of the wrong type', byteLevel({ 'tokenizer.ggml.tokens': ['a', 1] }), /tokens\[1\]/],
  ['types too few', byteLevel({ 'tokenizer.ggml.token_type': [1] }), /token_type/],
  ['an id outside', byteLevel({ 'tokenizer.ggml.bos_token_id': 1000 }), /bos_token_id/],
  [
    'an id of 64 bits, beyond every integer a number holds',
    byteLevel({ 'tokenizer.ggml.bos_token_id': 2n ** 63n }),
    /bos_token_id: wanted a token id below \d+, got 9223372036854775808/,
  ],
  [
    'a token twice',
    byteLevel({
      'tokenizer.ggml.tokens': ['a', 'a'],
      'tokenizer.ggml.token_type': [1, 1],
      'tokenizer.ggml.eos_token_id': 0,
    }),
    /each token once/,
  ],
  ['scores too few', Object.fromEntries(spmMetadata({ 'tokenizer.ggml.scores': [0] })), /scores/],
])('refuses %s', (_, metadata, message) => {
  expect(() => tokenizerJsonFromGguf(metadata)).toThrow(InputError);
  expect(() => tokenizerJsonFromGguf(metadata)).toThrow(message);
});
