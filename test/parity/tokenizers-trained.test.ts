/** @file The bundled models' kinds of tokenizer as transformers reads them, and our BPE trainer against Hugging Face's. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { tokenizerFromFiles } from '../../src/models/tokenizer/index.ts';
import { stored, trained } from './trained-tokenizers.ts';

interface Golden {
  kinds: Record<
    keyof typeof trained,
    { size: number; ids: number[][]; offsets: [number, number][][]; decoded: string[] }
  >;
  merges: [string, string][];
}

const golden = JSON.parse(
  gunzipSync(readFileSync(new URL('tokenizers-trained.json.gz', import.meta.url))).toString(),
) as Golden;

describe.each(['word-level', 'byte-bpe'] as const)('%s', (kind) => {
  const tokenizer = tokenizerFromFiles(trained[kind]);

  it('has the same ids, offsets and decoded text in transformers', () => {
    const { size, ids, offsets, decoded } = golden.kinds[kind];
    expect(tokenizer.vocabSize).toBe(size);
    expect(ids).toHaveLength(stored.texts.length);
    for (const [i, text] of stored.texts.entries()) {
      const encoding = tokenizer.encode(text);
      expect(encoding.ids).toEqual(ids[i]);
      // transformers counts code points.
      const points = encoding.offsets.map((range) =>
        range.map((unit) => Array.from(text.slice(0, unit)).length),
      );
      expect(points).toEqual(offsets[i]);
      expect(tokenizer.decode(encoding.ids, { skipSpecialTokens: true })).toBe(decoded[i]);
    }
  });
});

it('word-level gives back 98 % of the corpus texts without quotation marks as they were', () => {
  const tokenizer = tokenizerFromFiles(trained['word-level']);
  const texts = stored.texts.filter((text) => !text.includes('"'));
  const same = texts.filter(
    (text) => tokenizer.decode(tokenizer.encodeIds(text), { skipSpecialTokens: true }) === text,
  );
  expect(same.length / texts.length).toBeGreaterThanOrEqual(0.98);
});

it('learns the merges that the Hugging Face trainer learns, in the same order', () => {
  expect(golden.merges.length).toBeGreaterThan(400);
  expect((trained['byte-bpe'].tokenizerJson.model as { merges: unknown }).merges).toEqual(golden.merges);
});
