/** @file Sixteen small tokenizers of every kind against Hugging Face: ids, offsets, decoded text, pairs; and a second JavaScript implementation. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Tokenizer as OtherTokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { readerOf } from '../../src/evaluate/text-model/reader.ts';
import { Tokenizer } from '../../src/models/tokenizer/index.ts';

interface Kind {
  tokenizer: Record<string, unknown>;
  ids: number[][];
  offsets: [number, number][][];
  decoded: string[];
  /** Two texts, cut to `most` tokens. */
  pairs?: { first: string; second: string; most: number; ids: number[]; types: number[] }[];
}
interface Golden {
  texts: string[];
  kinds: Record<string, Kind>;
}

const read = (name: string): Golden =>
  JSON.parse(gunzipSync(readFileSync(new URL(name, import.meta.url))).toString()) as Golden;
const golden = read('tokenizers-small.json.gz');
const kinds = [golden, read('tokenizers-bert.json.gz')].flatMap(({ texts, kinds }) =>
  Object.entries(kinds).map(([name, kind]) => ({ name, texts, ...kind })),
);

/** Kinds whose normaliser changes what characters there are: there our ranges may be wider (whole clusters), never narrower. */
const NORMALISED = ['qwen2', 'word-level', 'punctuation', 'minilm', 'bert-accents', 'bert-unclean'];

/** UTF-16 index of each code point, the end included: the library counts code points. */
function unitsOf(text: string): number[] {
  const units = [0];
  for (const c of text) units.push((units.at(-1) as number) + c.length);
  return units;
}

describe.each(kinds)('$name', ({ name, texts, tokenizer: json, ids, offsets, decoded }) => {
  const tokenizer = Tokenizer.fromJson(json);

  it('gives the same ids, offsets and decoded text', () => {
    const wrong: string[] = [];
    let exact = 0;
    let wider = 0;
    for (const [i, text] of texts.entries()) {
      const encoding = tokenizer.encode(text);
      if (
        String(encoding.ids) !== String(ids[i]) ||
        String(tokenizer.encodeIds(text)) !== String(ids[i]) ||
        tokenizer.decode(encoding.ids, { skipSpecialTokens: true }) !== decoded[i]
      )
        wrong.push(text);
      const units = unitsOf(text);
      for (const [k, [start, end]] of encoding.offsets.entries()) {
        // Template tokens: the library gives all of them [0, 0].
        if (start === end) continue;
        const [a, b] = offsets[i][k];
        if (start > units[a] || end < units[b]) wrong.push(text);
        else if (start === units[a] && end === units[b]) exact++;
        else wider++;
      }
    }
    expect(wrong).toEqual([]);
    expect(exact).toBeGreaterThan(3000);
    expect(wider).toBeLessThan(NORMALISED.includes(name) ? exact / 10 : 1);
  });
});

it.each(kinds.filter(({ pairs }) => pairs))(
  '$name joins two texts, the longer cut first',
  ({ tokenizer, pairs = [] }) => {
    const ours = Tokenizer.fromJson(tokenizer);
    const wrong = pairs.filter(({ first, second, most, ids, types }) => {
      const row = readerOf(ours, most, 'test').pair(first, second);
      return String(row.ids) !== String(ids) || String(row.types) !== String(types);
    });
    expect(pairs.length).toBeGreaterThan(100);
    expect(wrong).toEqual([]);
  },
);

/**
 * Where the other implementation splits as the Rust library does. Its ByteLevel pattern takes U+0085 for no space and U+FEFF for one, so it
 * parts on gpt2 and smollm.
 */
it.each(['llama3', 'qwen2', 'gemma'])('@huggingface/tokenizers agrees on %s', (kind) => {
  const { tokenizer: json } = golden.kinds[kind];
  const [ours, other] = [Tokenizer.fromJson(json), new OtherTokenizer(json, {})];
  const parted = golden.texts.filter(
    (text) => String(ours.encodeIds(text)) !== String(other.encode(text).ids),
  );
  expect(parted).toEqual([]);
});
