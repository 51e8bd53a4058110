/**
 * @file Blocks in groups give what blocks alone give. tiny-llama-m has 8 blocks in one group; a decoder whose groups have all
 * been parted is the reference. The same graph in another cut: equal to 2e-5 (float32, values of order 1).
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCheckpoint } from '../checkpoint/index.ts';
import { HookTable } from '../hooks.ts';
import { resolveModel } from '../index.ts';
import { GROUP, groupRanges } from './block-group.ts';
import { KvCache } from './cache.ts';
import { Decoder, type DecoderOptions } from './decoder.ts';
import type { RunOptions } from './pass.ts';

const CLOSE = 2e-5;
const IDS = [
  [1, 40, 50, 60, 70],
  [1, 9, 30],
];

test('ranges cover all blocks in order, none longer than a group, none much shorter', () => {
  for (let n = 1; n <= 64; n++) {
    const ranges = groupRanges(n);
    expect(ranges.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))).toEqual([
      ...Array(n).keys(),
    ]);
    const sizes = ranges.map(({ from, to }) => to - from);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(GROUP);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
});

describe('a decoder in groups', () => {
  let grouped: Decoder;
  let parted: Decoder;
  const open = async (options: DecoderOptions = {}): Promise<Decoder> =>
    Decoder.open(await openCheckpoint((await resolveModel('tiny-llama-m')).path), options);
  beforeAll(async () => {
    [grouped, parted] = [await open(), await open()];
    // A stretch that starts inside a group parts it for good.
    for (let i = 1; i < parted.nLayers; i++) await parted.run(parted.embed(IDS), { from: i });
  });
  afterAll(async () => {
    await grouped[Symbol.asyncDispose]();
    await parted[Symbol.asyncDispose]();
  });

  /** Largest difference over real columns. */
  const apart = (a: Float32Array, b: Float32Array): number => {
    const d = grouped.config.dModel;
    expect(a.length).toBe(b.length);
    let most = 0;
    IDS.forEach((row, r) => {
      for (let i = r * 5 * d; i < (r * 5 + row.length) * d; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
    });
    return most;
  };
  const hooksOf = (record: Float32Array[], edit?: number): HookTable =>
    new HookTable(
      Array.from({ length: grouped.nLayers }, (_, i) => [
        `blocks.${i}.hook_resid_post`,
        (x) => {
          if (i === edit) x.data.forEach((v, j) => void (x.data[j] = v * 1.5));
          record.push(x.data.slice());
        },
      ]),
      grouped.nLayers,
    );

  test('reading between blocks sees the same, and changing there changes the same', async () => {
    const fresh = await open();
    try {
      for (const edit of [undefined, 0, 2, 3, 5, 7]) {
        const [seen, wanted]: [Float32Array[], Float32Array[]] = [[], []];
        const got = await fresh.run(fresh.embed(IDS), { hooks: hooksOf(seen, edit) });
        const want = await parted.run(parted.embed(IDS), { hooks: hooksOf(wanted, edit) });
        expect(seen).toHaveLength(fresh.nLayers); // each point once, also where a group is run again
        for (const [i, x] of seen.entries()) expect(apart(x, wanted[i])).toBeLessThan(CLOSE);
        expect(apart(got.tensor.data, want.tensor.data)).toBeLessThan(CLOSE);
      }
    } finally {
      await fresh[Symbol.asyncDispose]();
    }
  });

  test('with a cache of unequal rows, patched in the middle of decoding', async () => {
    const run = async (decoder: Decoder): Promise<Float32Array[]> => {
      const cache = new KvCache(decoder.config, 2, 8);
      const out: Float32Array[] = [];
      const step = async (ids: number[][], options: RunOptions = {}): Promise<void> =>
        void out.push((await decoder.run(decoder.embed(ids), { ...options, cache })).tensor.data.slice());
      await step(IDS);
      await step([[5, 6, 7], [8]]);
      await step([[5], [8]], { hooks: hooksOf([], 1) });
      await step([[5], [8]]);
      return out;
    };
    const wanted = await run(parted);
    for (const [i, x] of (await run(grouped)).entries()) {
      const most = x.reduce((m, v, j) => Math.max(m, Math.abs(v - wanted[i][j])), 0);
      // Padding of the second step holds anything, but the same anything: both ran the same columns.
      expect(most).toBeLessThan(CLOSE);
    }
  });

  test.each([8, 5, 3, 1, 0])('a pass of which %i blocks may be held at once', async (blocks) => {
    const { nKvHeads, headDim } = parted.config;
    const fresh = await open({ heldBytes: blocks * 2 * nKvHeads * headDim * 4 * IDS.length * 5 });
    try {
      const want = await parted.run(parted.embed(IDS));
      for (let again = 0; again < 2; again++) {
        const got = await fresh.run(fresh.embed(IDS));
        expect(apart(got.tensor.data, want.tensor.data)).toBeLessThan(CLOSE);
      }
    } finally {
      await fresh[Symbol.asyncDispose]();
    }
  });

  test('parting while another pass runs leaves that pass whole', async () => {
    // Stops inside, and is changed in two places at once.
    for (const other of [{ to: 2 }, { hooks: hooksOf([], 4) }]) {
      const again = await open();
      try {
        const plain = (): ReturnType<Decoder['run']> => again.run(again.embed(IDS));
        const passes = [
          plain(),
          again.run(again.embed(IDS), other),
          plain(),
          again.run(again.embed(IDS), { hooks: hooksOf([], 2) }),
        ];
        const [a, , c, d] = await Promise.all(passes);
        const want = await parted.run(parted.embed(IDS));
        for (const got of [a, c]) expect(apart(got.tensor.data, want.tensor.data)).toBeLessThan(CLOSE);
        const changed = await parted.run(parted.embed(IDS), { hooks: hooksOf([], 2) });
        expect(apart(d.tensor.data, changed.tensor.data)).toBeLessThan(CLOSE);
      } finally {
        await again[Symbol.asyncDispose]();
      }
    }
  });
});
