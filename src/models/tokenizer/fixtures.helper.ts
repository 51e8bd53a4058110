/** @file Small tokenizers for the tests beside this file: one of each kind, made by the project's own trainers. */
import { fallbackToken } from './bytes.ts';
import { tokenizerFilesFromGguf } from './gguf.ts';
import { tokenizerFromFiles } from './load.ts';
import type { JsonObject } from './parse.ts';
import type { Tokenizer } from './tokenizer.ts';
import { trainByteBpe } from './train-byte-bpe.ts';
import { trainWordLevel } from './train-word-level.ts';

export const sampleTexts = [
  '### Instruction:\nName the tag. |prod|\n### Response:\nprod',
  "Is 7 odd? yes, it's odd; 42 is not!",
  'Größe, café, naïve: 日本語 и Привет 👍🏽 👨‍👩‍👧 \u00a0 x\n\n  y\t\tz  ',
  '',
  ' ',
  'aaaaaaaaaaaaaaaaaaaa bbbbbbbb',
];

export const wordLevelFiles = trainWordLevel(
  sampleTexts.slice(0, 2).flatMap((t) => t.match(/\n|[.,:;?!|#'"-]|[^\s.,:;?!|#'"-]+/g) ?? []),
  { tags: ['prod', 'dev'] },
);

export const byteBpeFiles = trainByteBpe(sampleTexts, { vocabSize: 320, minCount: 1 });

/** GGUF metadata of a Gemma-like tokenizer; `keys` overrides or adds. Pieces score by length, then by place, all below 0 as in real models. */
export function spmMetadata(keys: Readonly<JsonObject> = {}): Map<string, unknown> {
  const pieces = ['▁', 't', 'h', 'e', 'r', 'th', 'he', '▁th', '▁the', '▁t', 'the', 're', 'é', '日'];
  const tokens = [
    '<pad>',
    '<eos>',
    '<bos>',
    '<unk>',
    '  ',
    ...Array.from({ length: 256 }, (_, b) => fallbackToken(b)),
    ...pieces,
  ];
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'llama'],
    ['tokenizer.ggml.tokens', tokens],
    [
      'tokenizer.ggml.scores',
      Float32Array.from(tokens, (t, i) => (i < 261 ? -1000 : Array.from(t).length - 100 - i / 1000)),
    ],
    [
      'tokenizer.ggml.token_type',
      Int32Array.from(tokens, (_, i) => (i === 3 ? 2 : i < 4 ? 3 : i === 4 ? 4 : i < 261 ? 6 : 1)),
    ],
    ['tokenizer.ggml.bos_token_id', 2],
    ['tokenizer.ggml.eos_token_id', 1],
    ['tokenizer.ggml.unknown_token_id', 3],
    ['tokenizer.ggml.padding_token_id', 0],
    ['tokenizer.ggml.add_space_prefix', false],
    ...Object.entries(keys),
  ]);
}

export function smallTokenizers(): Record<'wordLevel' | 'byteBpe' | 'spm', Tokenizer> {
  return {
    wordLevel: tokenizerFromFiles(wordLevelFiles),
    byteBpe: tokenizerFromFiles(byteBpeFiles),
    spm: tokenizerFromFiles(tokenizerFilesFromGguf(spmMetadata())),
  };
}
