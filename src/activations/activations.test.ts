import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashBytes, hashJson, InputError, Rng } from '../base/index.ts';
import { Decoder, openCheckpoint, Tokenizer, trainByteBpe, trainWordLevel } from '../models/index.ts';
import { readCaptureIndex } from './capture-index.ts';
import {
  type CapturedText,
  captureActivations,
  collectPairs,
  LEFT_OUT,
  livePairs,
  minibatches,
  noCounts,
  type PairedText,
  type PairRows,
  pairTable,
  pairText,
  ROW,
  selectPairs,
  splitByPrompt,
  storedPairs,
  swapPairs,
  writeCapture,
} from './index.ts';
import { pairStream } from './pairs.ts';
import { readCapture } from './read-capture.ts';
import { shuffledTexts } from './texts.ts';

const family = (name: string): string =>
  fileURLToPath(new URL(`../../test/parity/families/${name}`, import.meta.url));
const identity = { model: 'llama', modelHash: 'a', tokenizerHash: 'b' };

let a: Decoder;
let b: Decoder;
let folder: string;
const texts: PairedText[] = [];

beforeAll(async () => {
  a = await Decoder.open(await openCheckpoint(family('llama')), { threads: 1 });
  b = await Decoder.open(await openCheckpoint(family('qwen2')), { threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-activations-'));
  const rng = new Rng(4);
  for (let i = 0; i < 23; i++) {
    const ids = Array.from({ length: 2 + rng.int(17) }, () => rng.int(90));
    texts.push({ id: `t/${i}`, prompt: `p${i >> 1}`, label: 'safe', source: ids, target: ids });
  }
});
afterAll(async () => {
  await a[Symbol.asyncDispose]();
  await b[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = [];
  for await (const x of stream) out.push(x);
  return out;
}
const sourceTexts = () => texts.map((t) => ({ id: t.id, ids: t.source }));
const live = () => ({
  source: { decoder: a, hook: 'blocks.1.hook_resid_post' },
  target: { decoder: b, hook: 'blocks.2.hook_resid_post' },
});

describe('captureActivations', () => {
  it('splits a batch that the model could not hold at once, and compiles nothing again', async () => {
    const hooks = ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post', 'ln_final.hook_normalized'];
    const want = await all(captureActivations(a, sourceTexts(), { hooks, batch: 8 }));
    const { nKvHeads, headDim, dModel, blocks } = a.config;
    const bytes = 4 * (2 * blocks.length * nKvHeads * headDim + (blocks.length - 1) * dModel);
    const small = await Decoder.open(await openCheckpoint(family('llama')), {
      threads: 1,
      heldBytes: 3 * 20 * bytes,
    });
    try {
      const held = small.rowsHeld(20);
      const got = await all(captureActivations(small, sourceTexts(), { hooks, batch: 8 }));
      expect(got).toEqual(want);
      // A session that is cut gives less at once, so that more rows fit.
      expect(small.rowsHeld(20)).toBe(held);
      await small.run(small.embed(Array.from({ length: 8 }, () => Array.from({ length: 20 }, () => 1))), {
        hooks: undefined,
      });
      expect(small.rowsHeld(20)).toBeGreaterThan(held);
    } finally {
      await small[Symbol.asyncDispose]();
    }
  });

  it('gives what each text gives alone, in the order of the texts, whatever the batch', async () => {
    const hooks = ['resid_pre.1', 'blocks.1.hook_resid_mid', 'blocks.1.hook_resid_post', 'final_norm'];
    const got = await all(captureActivations(a, sourceTexts(), { hooks, batch: 3 }));
    expect(got.map((g) => g.index)).toEqual(texts.map((_, i) => i));
    for (const i of [0, 7, 22]) {
      const [alone] = await all(captureActivations(a, [sourceTexts()[i]], { hooks, batch: 1 }));
      expect(got[i].hidden).toEqual(alone.hidden);
    }
    // resid_pre.1 is the residual after block 0, resid_post.1 after block 1.
    const ids = [texts[5].source];
    const pre = await a.run(a.embed(ids), { to: 1 });
    const post = await a.run(a.embed(ids), { to: 2 });
    const d = a.config.dModel;
    const column = (h: number): number[] =>
      Array.from(
        { length: ids[0].length * d },
        (_, p) => got[5].hidden[(((p / d) | 0) * 4 + h) * d + (p % d)],
      );
    expect(column(0)).toEqual([...pre.tensor.data]);
    expect(column(2)).toEqual([...post.tensor.data]);
    const last = await a.run(a.embed(ids));
    const normed = a.normalise({ ...last.tensor, shape: [ids[0].length, d] });
    expect(column(3)).toEqual([...normed.data]);
  });

  it('stops on request and refuses what the model cannot read', async () => {
    const controller = new AbortController();
    controller.abort();
    const hooks = ['hook_embed'];
    await expect(
      all(captureActivations(a, sourceTexts(), { hooks, signal: controller.signal })),
    ).rejects.toThrow(/stopped/);
    await expect(all(captureActivations(a, sourceTexts(), { hooks: [] }))).rejects.toThrow(InputError);
    await expect(all(captureActivations(a, [{ id: 'x', ids: [] }], { hooks }))).rejects.toThrow(/no tokens/);
    const long = { id: 'x', ids: new Array<number>(257).fill(1) };
    await expect(all(captureActivations(a, [long], { hooks }))).rejects.toThrow(/context holds 256/);
    await expect(all(captureActivations(a, sourceTexts(), { hooks: ['resid_post.9'] }))).rejects.toThrow(
      /blocks 0…2/,
    );
  });
});

describe('pairing', () => {
  it('by index: rows, tokens, positions and flags', async () => {
    const counts = noCounts();
    const span = { start: 2, end: 4 };
    const tagged = texts.map((t) => ({ ...t, span }));
    const { source, target } = live();
    const rows = await collectPairs(livePairs(tagged, source, target, { counts, sinkRatio: false }));
    const tokens = texts.reduce((n, t) => n + t.target.length, 0);
    expect(counts).toEqual({
      coinciding: tokens,
      approximated: 0,
      dropped: 0,
      first: texts.length,
      sinks: 0,
      rows: tokens,
    });
    expect(rows.n).toBe(tokens);
    const post = await b.run(b.embed([texts[0].target]), { to: 3 });
    expect(rows.y.slice(0, post.tensor.data.length)).toEqual(post.tensor.data);
    for (let i = 0; i < rows.n; i++) {
      const text = texts[rows.text[i]];
      const t = rows.position[i];
      expect(rows.targetTokens[i]).toBe(text.target[t]);
      expect(rows.flags[i]).toBe((t === 0 ? ROW.first : 0) | (t === 2 || t === 3 ? ROW.span : 0));
    }
  });

  it('by alignment: the last token of A that ends early enough; approximate and dropped ones are counted', async () => {
    const wordLevel = trainWordLevel(['one', 'two', 'three', ',', '.']);
    const words = Tokenizer.fromJson(wordLevel.tokenizerJson, { bosToken: '<s>' });
    const bytes = Tokenizer.fromJson(trainByteBpe(['one two, three.'], { vocabSize: 262 }).tokenizerJson);
    const text = pairText(
      { id: 'x', text: 'one, two.' },
      { source: words, target: bytes },
      { addSpecialTokens: false },
    );
    expect(text.alignment).toBeDefined();
    const x = Float32Array.from(text.source, (_, i) => i + 1);
    const y = Float32Array.from(text.target, (_, i) => 100 + i);
    const stream = async function* (hidden: Float32Array): AsyncGenerator<CapturedText> {
      yield { index: 0, hidden };
    };
    const counts = noCounts();
    const [rows] = await all(
      pairStream([text], stream(x), stream(y), { dx: 1, dy: 1, sinkRatio: false, counts }),
    );
    expect(counts.coinciding + counts.approximated + counts.dropped).toBe(text.target.length);
    expect(counts.dropped).toBeGreaterThan(0);
    const ends = words.encode('one, two.', { addSpecialTokens: false }).offsets.map((o) => o[1]);
    const targetEnds = bytes.encode('one, two.', { addSpecialTokens: false }).offsets.map((o) => o[1]);
    for (let i = 0; i < rows.n; i++) {
      const end = targetEnds[rows.position[i]];
      const last = ends.findLastIndex((e) => e <= end);
      expect(rows.x[i]).toBe(last + 1);
      expect((rows.flags[i] & ROW.approximate) !== 0).toBe(ends[last] !== end);
    }
  });

  it('marks sinks against the median, before and behind the reference rows', async () => {
    const n = 5000;
    const ids = new Array<number>(n).fill(0);
    const text: PairedText = { id: 'x', prompt: 'x', label: '', source: ids, target: ids };
    const x = new Float32Array(n).fill(1);
    const y = new Float32Array(n).fill(2);
    x[0] = 1000; // the first row is no part of the median but may be a sink as well
    x[17] = -10.5;
    y[4999] = 19.9; // 9.95 × the median: none
    y[4998] = 20.1;
    const stream = async function* (hidden: Float32Array): AsyncGenerator<CapturedText> {
      yield { index: 0, hidden };
      yield { index: 1, hidden: hidden.slice() };
    };
    const counts = noCounts();
    const blocks = await all(
      pairStream([text, { ...text, id: 'z' }], stream(x), stream(y), {
        dx: 1,
        dy: 1,
        counts,
        blockRows: 100,
      }),
    );
    const sinks = blocks.flatMap((r) =>
      [...r.flags].flatMap((f, i) => (f & ROW.sink ? [`${r.text[i]}/${r.position[i]}`] : [])),
    );
    expect(sinks).toEqual(['0/0', '0/17', '0/4998', '1/0', '1/17', '1/4998']);
    expect(counts.sinks).toBe(6);
  });

  it('refuses texts whose tokens do not pair', async () => {
    const bad = [{ ...texts[0], target: [1] }];
    const { source, target } = live();
    await expect(collectPairs(livePairs(bad, source, target))).rejects.toThrow(/no alignment/);
  });

  it('the shuffled control draws the source among equally long variants', () => {
    const variant = (id: string, tag: number): PairedText => ({
      id,
      prompt: 'p',
      label: id,
      source: [1, tag, 3],
      target: [1, tag, 3],
    });
    const groups = Array.from({ length: 200 }, (_, i) => [variant(`s${i}`, 7), variant(`b${i}`, 8)]);
    const got = shuffledTexts(groups, new Rng(1));
    const crossed = got.filter((t) => t.source[1] !== t.target[1]).length;
    expect(got.every((t) => t.target[1] === (t.label.startsWith('s') ? 7 : 8))).toBe(true);
    expect(crossed).toBeGreaterThan(150);
    expect(crossed).toBeLessThan(250);
    const long = { ...variant('b', 8), source: [1, 8, 8, 3] };
    // With unequal lengths a draw that crosses is refused.
    expect(() =>
      shuffledTexts(
        Array.from({ length: 20 }, () => [variant('s', 7), long]),
        new Rng(1),
      ),
    ).toThrow(/equal length/);
  });

  it('splits by prompt', () => {
    const split = splitByPrompt(texts, { train: 0.5, validation: 0.25, test: 0.25 }, new Rng(0));
    const prompts = (key: keyof typeof split): Set<string> => new Set(split[key].map((t) => t.prompt));
    expect(split.train.length + split.validation.length + split.test.length).toBe(texts.length);
    expect(prompts('train').size).toBe(6);
    expect([...prompts('train')].some((p) => prompts('validation').has(p) || prompts('test').has(p))).toBe(
      false,
    );
  });
});

describe('shards', () => {
  const capture = (path: string, signal?: AbortSignal) =>
    writeCapture(path, a, sourceTexts(), {
      ...identity,
      hooks: ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post'],
      batch: 2,
      shardRows: 60,
      signal,
    });
  const digest = async (path: string): Promise<Record<string, string>> =>
    Object.fromEntries(
      await Promise.all(
        (await readdir(path)).sort().map(async (f) => [f, hashBytes(await readFile(join(path, f)))]),
      ),
    );

  it('hold the rows of the capture, and go on behind the last shard after a stop', async () => {
    const whole = join(folder, 'whole');
    const index = await capture(whole);
    expect(index.shards.length).toBeGreaterThan(2);
    expect(index.prompts.map((p) => p.tokens)).toEqual(texts.map((t) => t.source.length));
    const part = join(folder, 'part');
    const controller = new AbortController();
    await expect(
      writeCapture(part, a, sourceTexts(), {
        ...identity,
        hooks: ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post'],
        batch: 2,
        shardRows: 60,
        signal: controller.signal,
        onProgress: () => controller.abort(),
      }),
    ).rejects.toThrow(/stopped/);
    const before = await readCaptureIndex(part);
    expect(before.complete).toBe(false);
    expect(before.shards.length).toBeGreaterThan(0);
    await capture(part);
    expect(await digest(part)).toEqual(await digest(whole));
    expect(await capture(part)).toEqual(index); // nothing to do
  });

  it('read back bit by bit, any text in any order, any hook', async () => {
    const whole = join(folder, 'whole');
    const ids = ['t/9', 't/0', 't/22'];
    const got = await all(readCapture(whole, ids, 'blocks.1.hook_resid_post'));
    const want = await all(
      captureActivations(a, sourceTexts(), { hooks: ['blocks.1.hook_resid_post'], batch: 32 }),
    );
    expect(got.map((g) => g.index)).toEqual([0, 1, 2]);
    expect(got[0].hidden).toEqual(want[9].hidden);
    expect(got[2].hidden).toEqual(want[22].hidden);
    await expect(all(readCapture(whole, ['nope']))).rejects.toThrow(/nope was not captured/);
    await expect(all(readCapture(whole, ids, 'hook_embed'))).rejects.toThrow(/not hook hook_embed/);
  });

  it('refuse a row with NaN, by shard and text, though every hash agrees', async () => {
    const spoilt = join(folder, 'spoilt');
    await cp(join(folder, 'whole'), spoilt, { recursive: true });
    const { shards, ...rest } = await readCaptureIndex(spoilt);
    const [first, ...others] = shards;
    const path = join(spoilt, first.file);
    const bytes = await readFile(path);
    const header = Number(bytes.readBigUInt64LE());
    const { hidden_states: rows } = JSON.parse(bytes.toString('utf8', 8, 8 + header)) as {
      hidden_states: { data_offsets: [number, number] };
    };
    bytes.writeFloatLE(Number.NaN, 8 + header + rows.data_offsets[0] + 4 * 7);
    await writeFile(path, bytes);
    const index = { ...rest, shards: [{ ...first, sha256: hashBytes(bytes) }, ...others] };
    await writeFile(join(spoilt, 'index.json'), JSON.stringify({ ...index, sha256: hashJson(index) }));
    await expect(all(readCapture(spoilt, ['t/0']))).rejects.toThrow(
      /shard-00000\.safetensors: hidden_states of text t\/0: .*got NaN at element 7/,
    );
    // a text in another shard is sound
    const last = index.prompts.at(-1)?.id as string;
    expect(await all(readCapture(spoilt, [last]))).toHaveLength(1);
  });

  it('stored and live pairs are the same rows', async () => {
    const other = join(folder, 'target');
    await writeCapture(
      other,
      b,
      texts.map((t) => ({ id: t.id, ids: t.target })),
      { ...identity, model: 'qwen', hooks: [live().target.hook] },
    );
    const stored = await storedPairs(
      texts,
      { folder: join(folder, 'whole'), hook: 'blocks.1.hook_resid_post' },
      { folder: other },
    );
    const { source, target } = live();
    expect(await collectPairs(stored)).toEqual(await collectPairs(livePairs(texts, source, target)));
  });

  it('refuse a folder that holds something else, another capture, or half of one', async () => {
    const other = join(folder, 'foreign');
    await expect(
      writeCapture(join(folder, 'whole'), a, sourceTexts(), { ...identity, hooks: ['hook_embed'] }),
    ).rejects.toThrow(/holds another capture \(hooks/);
    await writeFile(join(folder, 'note.txt'), 'x');
    await expect(
      writeCapture(folder, a, sourceTexts(), { ...identity, hooks: ['hook_embed'] }),
    ).rejects.toThrow(InputError);
    await expect(readCaptureIndex(other)).rejects.toThrow(/no index.json/);
    const twice = [sourceTexts()[0], sourceTexts()[0]];
    await expect(writeCapture(other, a, twice, { ...identity, hooks: ['hook_embed'] })).rejects.toThrow(
      /same id/,
    );
  });
});

describe('tables', () => {
  const block = (values: readonly number[], flags: readonly number[] = []): PairRows => ({
    n: values.length,
    x: Float32Array.from(values),
    y: Float32Array.from(values.flatMap((v) => [v, -v])),
    sourceTokens: Int32Array.from(values),
    targetTokens: Int32Array.from(values, (v) => v + 1),
    text: Int32Array.from(values, () => 0),
    position: Int32Array.from(values),
    flags: Uint8Array.from(values, (_, i) => flags[i] ?? 0),
  });

  it('leave out flagged rows, keep what is asked for, swap the direction', async () => {
    const source = pairTable(1, 2, [block([1, 2, 3], [ROW.first, 0, ROW.span]), block([4], [ROW.sink])]);
    expect((await collectPairs(selectPairs(source))).x).toEqual(Float32Array.of(2, 3));
    const noTag = await collectPairs(selectPairs(source, { leaveOut: LEFT_OUT | ROW.span }));
    expect([...noTag.y]).toEqual([2, -2]);
    const kept = await collectPairs(
      selectPairs(source, { leaveOut: 0, keep: (rows, i) => rows.position[i] % 2 === 0 }),
    );
    expect([...kept.x]).toEqual([2, 4]);
    const swapped = await collectPairs(swapPairs(source));
    expect([...swapped.x]).toEqual([1, -1, 2, -2, 3, -3, 4, -4]);
    expect([...swapped.targetTokens]).toEqual([1, 2, 3, 4]);
  });

  it('a sample is uniform and of the size asked for', async () => {
    const source = pairTable(1, 2, [block(Array.from({ length: 100 }, (_, i) => i))]);
    const hits = new Array<number>(100).fill(0);
    for (let s = 0; s < 300; s++) {
      const rows = await collectPairs(source, { maxRows: 20, rng: new Rng(s) });
      expect(new Set(rows.x).size).toBe(20);
      for (const v of rows.x) hits[v] = hits[v] + 1;
    }
    // 60 expected of 300, standard deviation 6.9: five of them either way.
    expect(Math.min(...hits)).toBeGreaterThan(25);
    expect(Math.max(...hits)).toBeLessThan(95);
  });

  it.each([
    ['one window', 1000],
    ['several windows', 64],
  ])('minibatches visit every row about equally often and are seeded: %s', async (_, windowRows) => {
    const blocks = Array.from({ length: 10 }, (_, k) =>
      block(Array.from({ length: 25 }, (_, i) => k * 25 + i)),
    );
    const take = async (seed: number): Promise<number[]> => {
      const seen: number[] = [];
      for await (const { n, x, y } of minibatches(pairTable(1, 2, blocks), {
        batch: 16,
        rng: new Rng(seed),
        windowRows,
      })) {
        if (n !== 16 || x.some((v, i) => y[2 * i + 1] !== -v))
          throw new Error('x and y do not belong together');
        seen.push(...x);
        if (seen.length >= 5000) break;
      }
      return seen;
    };
    const seen = await take(3);
    expect(await take(3)).toEqual(seen);
    expect(await take(4)).not.toEqual(seen);
    const hits = new Array<number>(250).fill(0);
    for (const v of seen) hits[v] = hits[v] + 1;
    expect(Math.min(...hits)).toBeGreaterThan(8);
    expect(Math.max(...hits)).toBeLessThan(32);
  });
});
