/** @file Tokenizers made to stop whoever runs them: each ends in an error at once, or works in time linear in the text. */
import { expect, test } from 'vitest';
import { InputError, Rng } from '../../base/index.ts';
import { type AddedToken, AddedTokenSplitter } from './added-tokens.ts';
import { Tokenizer } from './tokenizer.ts';

type Json = Record<string, unknown>;
const json = (parts: Json): Json => ({
  version: '1.0',
  added_tokens: [],
  model: { type: 'BPE', vocab: { a: 0, b: 1, '▁': 2 }, merges: [] },
  ...parts,
});
const split = (regex: string): Json => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
});
const doubling = (type: 'normalizers' | 'decoders'): Json => ({
  type: 'Sequence',
  [type]: Array.from({ length: 40 }, () => ({ type: 'Replace', pattern: { String: 'a' }, content: 'aa' })),
});

/** What `work` throws; it must come within a second. */
function refusal(work: () => unknown): unknown {
  const from = performance.now();
  try {
    work();
  } catch (error) {
    expect(performance.now() - from).toBeLessThan(1000);
    return error;
  }
  return expect.fail('nothing was thrown');
}

test.each([
  ['(a+)+$|x', /repeat of a group that holds a repeat/],
  ['(?:a|a)*b', /or a choice/],
  ['(a*)*', /repeat of a group/],
  ['a*a*a*b', /unbounded repeats in a row/],
  ['(?:a{900}){900}', /multiply/],
  ['a'.repeat(10_000), /more than 4096 characters/],
])('the pattern %j is refused where it is read', (regex, message) => {
  const error = refusal(() => Tokenizer.fromJson(json(split(regex))));
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toMatch(message);
});

test('replacements that double a text end at the limit, in normalisers and decoders', () => {
  const normalised = Tokenizer.fromJson(json({ normalizer: doubling('normalizers') }));
  expect(refusal(() => normalised.encode('aaa'))).toBeInstanceOf(InputError);
  expect(refusal(() => normalised.encodeIds('aaa'))).toBeInstanceOf(InputError);
  const decoded = Tokenizer.fromJson(json({ decoder: doubling('decoders') }));
  expect(refusal(() => decoded.decode([0, 0, 0]))).toBeInstanceOf(InputError);
  const once = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(1e6) };
  const long = Tokenizer.fromJson(json({ normalizer: once, decoder: once }));
  expect(refusal(() => long.encode('a'.repeat(1000)))).toBeInstanceOf(InputError);
  expect(refusal(() => long.decode(new Array<number>(1000).fill(0)))).toBeInstanceOf(InputError);
});

test('replacements that tokenizers use are within the limit', () => {
  const metaspace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const nfkd = { type: 'NFKD' }; // ﷺ becomes 18 characters
  const tokenizer = Tokenizer.fromJson(
    json({ normalizer: { type: 'Sequence', normalizers: [metaspace, nfkd] } }),
  );
  expect(() => tokenizer.encode('ﷺ a'.repeat(2000))).not.toThrow();
});

test('a template of very many tokens is refused, not run out of stack on', () => {
  const ids = new Array<number>(300_000).fill(0);
  const processor = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: 'a', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    special_tokens: { a: { id: 'a', ids, tokens: [] } },
  };
  const error = refusal(() => Tokenizer.fromJson(json({ post_processor: processor })));
  expect((error as Error).message).toMatch(/at most 256 special tokens/);
});

const token = (content: string, id: number, flags: Partial<AddedToken> = {}): AddedToken => ({
  id,
  content,
  special: true,
  normalized: false,
  lstrip: false,
  rstrip: false,
  singleWord: false,
  ...flags,
});

test('added tokens are found in linear time, whatever they share', () => {
  const long = 'a'.repeat(5000);
  const splitter = new AddedTokenSplitter(
    [token(`${long}b`, 0), token('aa', 1), token(`${long}c`, 2)],
    (t) => t.content,
  );
  const times = [100_000, 400_000].map((n) => {
    const from = performance.now();
    let tokens = 0;
    splitter.split(
      { text: 'a'.repeat(n), base: 0, map: undefined },
      () => {},
      () => tokens++,
    );
    expect(tokens).toBe(n / 2);
    return performance.now() - from;
  });
  // Walked from every place anew this would be 4·10⁵ × 5·10³ steps, half a minute.
  expect(times[1]).toBeLessThan(2000);
});

test('added tokens are cut as a search from every place cuts them', () => {
  const rng = new Rng(8);
  for (let round = 0; round < 300; round++) {
    const word = (most: number): string =>
      Array.from({ length: 1 + rng.int(most) }, () => rng.pick(['a', 'b', 'c'])).join('');
    const contents = [...new Set(Array.from({ length: 1 + rng.int(6) }, () => word(5)))];
    const tokens = contents.map((content, id) => token(content, id));
    const text = word(40);
    const got: string[] = [];
    new AddedTokenSplitter(tokens, (t) => t.content).split(
      { text, base: 0, map: undefined },
      (piece) => got.push(piece.text),
      (t) => got.push(`<${t.content}>`),
    );
    const want: string[] = [];
    let plain = '';
    for (let i = 0; i < text.length; ) {
      const best = contents.filter((c) => text.startsWith(c, i)).sort((a, b) => b.length - a.length)[0];
      if (best === undefined) plain += text[i++];
      else {
        if (plain !== '') want.push(plain);
        plain = '';
        want.push(`<${best}>`);
        i += best.length;
      }
    }
    if (plain !== '') want.push(plain);
    expect(got).toEqual(want);
  }
});
