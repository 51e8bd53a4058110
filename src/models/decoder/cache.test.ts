/** @file The cache against a plain list of every token's key and value. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../base/index.ts';
import type { ModelConfig } from '../config.ts';
import { KvCache, withoutRows } from './cache.ts';

/** Two blocks, two key heads of size 2. */
const config = { nKvHeads: 2, headDim: 2, blocks: [{}, {}] } as unknown as ModelConfig;
const WIDTH = 4;
const LAYERS = 2;

/** A cache and, a row, the keys it should hold; values are keys + 0.5. */
class Twin {
  readonly cache: KvCache;
  rows: number[][];
  readonly #rng = new Rng(1);

  constructor(batch: number, expected = 1) {
    this.cache = new KvCache(config, batch, expected);
    this.rows = Array.from({ length: batch }, () => []);
  }

  /** Append counts[b] tokens to row b; a token is one number, plus the layer. */
  append(counts: readonly number[]): void {
    const columns = Math.max(...counts);
    this.cache.reserve(columns);
    const tokens = counts.map((n) => Array.from({ length: n }, () => this.#rng.int(1000)));
    // The first block by itself, the others as a group.
    for (const [from, to] of [
      [0, 1],
      [1, LAYERS],
    ] as const) {
      const width = 2 * (to - from) * WIDTH;
      const kv = new Float32Array(counts.length * columns * width).fill(-1);
      tokens.forEach((row, b) => {
        row.forEach((x, t) => {
          for (let layer = from; layer < to; layer++) {
            const at = (b * columns + t) * width + 2 * (layer - from) * WIDTH;
            kv.fill(x + layer, at, at + WIDTH);
            kv.fill(x + layer + 0.5, at + WIDTH, at + 2 * WIDTH);
          }
        });
      });
      this.cache.write({ from, to }, kv, columns, counts);
    }
    this.cache.advance(counts);
    tokens.forEach((row, b) => void this.rows[b]?.push(...row));
  }

  check(): void {
    expect(this.cache.lengths).toEqual(this.rows.map((r) => r.length));
    for (let layer = 0; layer < LAYERS; layer++) {
      for (const [h, extra] of [
        [this.cache.past(layer).k, 0],
        [this.cache.past(layer).v, 0.5],
      ] as const) {
        expect(h.dims).toEqual([this.rows.length, this.cache.capacity, WIDTH]);
        expect(h.data).toHaveLength(this.rows.length * this.cache.capacity * WIDTH);
        this.rows.forEach((row, b) => {
          const from = b * this.cache.capacity * WIDTH;
          const held = (h.data as Float32Array).slice(from, from + row.length * WIDTH);
          const want = row.flatMap((x) => Array.from({ length: WIDTH }, () => x + layer + extra));
          expect(Array.from(held)).toEqual(want);
        });
      }
    }
  }
}

test('rows of unequal length grow past the capacity', () => {
  const twin = new Twin(3);
  twin.append([5, 1, 60]);
  for (let i = 0; i < 70; i++) twin.append([1, 1, 1]);
  expect(twin.cache.capacity).toBe(192);
  twin.check();
});

describe('keep', () => {
  test.each([
    { rows: [0, 2], how: 'in order' },
    { rows: [3, 1], how: 'the last into the hole' },
    { rows: [1, 0], how: 'in another order, which needs new buffers' },
    { rows: [2, 2, 2], how: 'the same row again' },
  ])('$rows: $how', ({ rows }) => {
    const twin = new Twin(4);
    twin.append([3, 7, 2, 9]);
    twin.cache.keep(rows);
    twin.rows = rows.map((b) => twin.rows[b].slice());
    twin.check();
    twin.append(rows.map((_, i) => i + 1));
    twin.append(rows.map(() => 70));
    twin.check();
  });
});

test('select copies rows; both go their own way', () => {
  const twin = new Twin(2);
  twin.append([3, 5]);
  const copy = twin.cache.select([1, 0, 1]);
  expect(copy.lengths).toEqual([5, 3, 5]);
  twin.append([1, 1]);
  twin.check();
  const [row] = [twin.rows[1].slice(0, 5)];
  expect(Array.from((copy.past(1).k.data as Float32Array).slice(0, 5 * WIDTH))).toEqual(
    row.flatMap((x) => Array.from({ length: WIDTH }, () => x + 1)),
  );
});

describe('append', () => {
  test.each([
    { how: 'where the memory has room', leave: [0, 1], lengths: [3, 5] },
    { how: 'where it has none', leave: [0, 1, 2, 3], lengths: [3, 5] },
    { how: 'longer rows than fit the capacity', leave: [0], lengths: [130, 2] },
    { how: 'rows of a smaller capacity', leave: [0, 3], lengths: [1] },
  ])('$how', ({ leave, lengths }) => {
    const twin = new Twin(4);
    twin.append([3, 7, 2, 9]);
    twin.append([70, 1, 1, 70]);
    twin.cache.keep(leave);
    twin.rows = leave.map((b) => twin.rows[b].slice());
    const other = new Twin(lengths.length);
    other.append(lengths);
    twin.cache.append(other.cache);
    twin.rows = [...twin.rows, ...other.rows.map((row) => row.slice())];
    twin.check();
    other.check();
    twin.append(twin.rows.map((_, i) => i + 1));
    twin.check();
  });
});

test('rewind forgets the newest tokens', () => {
  const twin = new Twin(2);
  twin.append([4, 6]);
  twin.cache.rewind([2, 6]);
  twin.rows[0].length = 2;
  twin.append([3, 1]);
  twin.check();
  expect(() => twin.cache.rewind([99, 1])).toThrow('cache: cannot hold 99 tokens');
});

test('withoutRows keeps the rows that stay, moves fewest, never to a higher index', () => {
  const rng = new Rng(2);
  for (let round = 0; round < 200; round++) {
    const stays = Array.from({ length: rng.int(9) }, () => rng.int(3) > 0);
    const rows = withoutRows(stays.length, (i) => stays[i]);
    const kept = stays.flatMap((s, i) => (s ? [i] : []));
    expect(rows.toSorted((a, b) => a - b)).toEqual(kept);
    expect(rows.every((from, to) => from >= to)).toBe(true);
    expect(rows.filter((from, to) => from !== to)).toHaveLength(kept.filter((i) => i >= kept.length).length);
  }
});
