/** @file 4,000 damaged tokenizer.json files: each is refused by an `InputError` or works without crashing. */
import { expect, it } from 'vitest';
import { InputError, Rng } from '../../base/index.ts';
import { byteBpeFiles, spmMetadata, wordLevelFiles } from './fixtures.helper.ts';
import { tokenizerJsonFromGguf } from './gguf.ts';
import { Tokenizer } from './tokenizer.ts';

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  -1,
  0,
  1.5,
  2 ** 31,
  2 ** 53,
  1e308,
  '',
  ' ',
  'x',
  '▁',
  '<s>',
  '\ud800',
  '(',
  '\\p{L}',
  [],
  {},
  [[]],
  { type: 'NFC' },
  { type: 'Sequence' },
  { type: '__proto__' },
  { type: 'toString' },
  { Regex: '(?<x>' },
  { String: '' },
  { Regex: 'a*' },
];

/** Replace, remove, copy or rename at a random place of the tree, 1 to 3 times. */
function mutateTree(rng: Rng, json: unknown): unknown {
  const root = structuredClone(json) as Record<string, unknown>;
  for (let n = 1 + rng.int(3); n > 0; n--) {
    let node: Record<string, unknown> = root;
    let key = rng.pick(Object.keys(node));
    for (
      let child = node[key];
      typeof child === 'object' && child !== null && rng.next() < 0.75;
      child = node[key]
    ) {
      const keys = Object.keys(child);
      if (keys.length === 0) break;
      node = child as Record<string, unknown>;
      key = rng.pick(keys);
    }
    const choice = rng.int(5);
    if (choice === 0) delete node[key];
    else if (choice === 1) node[`${key}x`] = node[key];
    else if (choice === 2) node[key] = node[rng.pick(Object.keys(node))];
    else if (choice === 3)
      node[key] = {
        type: 'Sequence',
        normalizers: [node[key]],
        pretokenizers: [node[key]],
        decoders: [node[key]],
        processors: [node[key]],
      };
    else node[key] = rng.pick(ODD_VALUES);
    if (Object.keys(root).length === 0) break;
  }
  return JSON.parse(JSON.stringify(root));
}

/** Damage the text itself: bytes changed, cut out, repeated. Undefined where it is no JSON any more. */
function mutateText(rng: Rng, text: string): unknown {
  const at = rng.int(text.length);
  const run = 1 + rng.int(12);
  const damaged = [
    () => text.slice(0, at) + String.fromCharCode(32 + rng.int(95)) + text.slice(at + 1),
    () => text.slice(0, at) + text.slice(at + run),
    () => text.slice(0, at + run) + text.slice(at),
    () =>
      text.slice(0, at) + rng.pick(['9', '-', '"', 'null', '[', '}', '\\ud800', '1e9', ',']) + text.slice(at),
  ][rng.int(4)];
  try {
    return JSON.parse(damaged());
  } catch {
    return undefined;
  }
}

it('refuses or runs every one of 4,000 damaged files', () => {
  const rng = new Rng(2024);
  const seeds = [
    wordLevelFiles.tokenizerJson,
    byteBpeFiles.tokenizerJson,
    tokenizerJsonFromGguf(spmMetadata()),
  ];
  const texts = seeds.map((seed) => JSON.stringify(seed));
  const count = { refused: 0, ran: 0, noJson: 0 };
  for (let i = 0; i < 4000; i++) {
    const json = i % 2 === 0 ? mutateTree(rng, rng.pick(seeds)) : mutateText(rng, rng.pick(texts));
    if (json === undefined) {
      count.noJson++;
      continue;
    }
    try {
      const tokenizer = Tokenizer.fromJson(json);
      const { ids, offsets } = tokenizer.encode("the |prod| 12 é😀\n it's\ud800 <s>");
      if (offsets.length !== ids.length) throw new Error('offsets missing');
      tokenizer.decode(ids);
      count.ran++;
    } catch (error) {
      if (!(error instanceof InputError))
        throw new Error(`file ${i} of the fuzz broke the reader`, { cause: error });
      if (error.message.includes('\n')) throw new Error(`file ${i}: more than one line`, { cause: error });
      count.refused++;
    }
  }
  expect(count.refused).toBeGreaterThan(1000);
  expect(count.ran).toBeGreaterThan(300);
  expect(count.refused + count.ran + count.noJson).toBe(4000);
});

it('refuses nesting without end', () => {
  let deep: unknown = { type: 'NFC' };
  for (let i = 0; i < 5000; i++) deep = { type: 'Sequence', normalizers: [deep] };
  expect(() => Tokenizer.fromJson({ ...wordLevelFiles.tokenizerJson, normalizer: deep })).toThrow(
    /nested deeper/,
  );
});
