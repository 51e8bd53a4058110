/** @file Alignment of two tokenizers: pairs by the plain rule on the character ranges of Hugging Face's library. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { alignTokens } from '../../src/models/index.ts';
import { type Offsets, plainAlignment } from '../../src/models/tokenizer/align.helper.ts';
import { Tokenizer } from '../../src/models/tokenizer/index.ts';

const { texts, kinds } = JSON.parse(
  gunzipSync(readFileSync(new URL('tokenizers-small.json.gz', import.meta.url))).toString(),
) as {
  texts: string[];
  kinds: Record<string, { tokenizer: unknown; offsets: [number, number][][] }>;
};

/** Byte-level BPE with two ways to split, and BPE over characters with byte fallback; the last two begin with BOS. */
const NAMES = ['gpt2', 'smollm', 'llama3', 'gemma'];

/** In UTF-16 units: the library counts code points. */
function inUnits(text: string, offsets: readonly [number, number][]): Offsets {
  const units = [0];
  for (const c of text) units.push(units[units.length - 1] + c.length);
  return offsets.map(([start, end]) => [units[start], units[end]]);
}

it.each(NAMES.flatMap((a) => NAMES.filter((b) => b !== a).map((b) => [a, b])))('%s → %s', (a, b) => {
  const [source, target] = [a, b].map((name) => Tokenizer.fromJson(kinds[name].tokenizer));
  let uneven = 0;
  const wrong = texts.filter((text, i) => {
    if (i % 2 === 1) return false;
    const [ours, theirs] = [source.encode(text), target.encode(text)];
    const wanted = plainAlignment(inUnits(text, kinds[a].offsets[i]), inUnits(text, kinds[b].offsets[i]));
    const found = alignTokens(ours, theirs);
    if (found.coverage.approximate + found.coverage.dropped > 0) uneven++;
    return String([...found.sourceOf]) !== String(wanted);
  });
  expect(wrong).toEqual([]);
  expect(uneven).toBeGreaterThan(50);
});
