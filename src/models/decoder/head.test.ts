/**
 * @file The two best logits as the head's own session finds them, against a plain search through the logits it gives: tied, soft-capped
 * and untied heads, and however the vocabulary is cut, a last piece of one row included. Equal bits: both read the same products.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Rng } from '../../base/index.ts';
import { f32 } from '../../engine/index.ts';
import { openCheckpoint } from '../checkpoint/index.ts';
import { parseModelConfig } from '../families/index.ts';
import { choiceOf } from '../generate.ts';
import { argmaxWithGap } from '../sampling.ts';
import { Head } from './head.ts';
import { WeightFiles } from './weights.ts';

const families = join(import.meta.dirname, '../../../test/parity/families');

describe.each(['llama', 'gemma2', 'qwen2'])('the head of a random %s', (family) => {
  test('best agrees with the logits', async () => {
    const checkpoint = await openCheckpoint(join(families, family));
    const config = parseModelConfig(checkpoint.config, checkpoint.path);
    const { vocabSize: v, dModel: d } = config;
    const rng = new Rng(3);
    const rows = f32(
      [7, d],
      Float32Array.from({ length: 7 * d }, () => rng.normal()),
    );
    const found = new Set<string>();
    for (const chunk of [v, v - 1, Math.ceil(v / 3), 2]) {
      await using weights = new WeightFiles(checkpoint);
      await using head = await Head.open(config, weights, { threads: 1, chunk });
      const normalized = head.normalise(rows);
      const logits = (await head.logits(normalized)).data;
      const best = (await head.best(normalized)).data;
      const choices = Array.from({ length: 7 }, (_, i) => choiceOf(best, i));
      expect(choices).toEqual(
        Array.from({ length: 7 }, (_, i) => argmaxWithGap(logits.subarray(i * v, (i + 1) * v))),
      );
      found.add(choices.map(({ index }) => index).join());
    }
    expect(found.size).toBe(1);
    expect(new Set([...found].join().split(',')).size).toBeGreaterThan(3);
  });
});
