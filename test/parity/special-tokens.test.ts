/** @file Special tokens that stand only in tokenizer_config.json, special_tokens_map.json or added_tokens.json, as transformers adds them. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { tokenizerFromFiles } from '../../src/models/tokenizer/index.ts';

const read = (url: string): unknown => JSON.parse(readFileSync(new URL(url, import.meta.url), 'utf8'));
type Json = Record<string, unknown>;
const { text, cases } = read('special-tokens.json') as {
  text: string;
  cases: Record<string, { config: Json; files: Json; ids: number[]; bos: number; pad: number; skip: string }>;
};
const tokenizerJson = read('../../assets/tiny/tiny-llama-s/tokenizer.json');

it.each(Object.entries(cases))('%s', (name, { config, files, ids, bos, pad, skip }) => {
  const tokenizer = tokenizerFromFiles({
    tokenizerJson,
    tokenizerConfig: config,
    specialTokensMap: files['special_tokens_map.json'] as Json | undefined,
    addedTokens: files['added_tokens.json'] as Json | undefined,
  });
  expect([tokenizer.bosId, tokenizer.padId]).toEqual([bos, pad]);
  // With another BOS than the template's, transformers keeps the template: not looked at here.
  const options = { addSpecialTokens: false };
  expect(tokenizer.encodeIds(text, options), name).toEqual(ids.slice(1));
  expect(tokenizer.decode(tokenizer.encodeIds(text, options), { skipSpecialTokens: true })).toBe(
    bos === 1 ? skip : tokenizer.decode(ids, { skipSpecialTokens: true }),
  );
});
