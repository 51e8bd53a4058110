/** @file Judges exported from transformers by docs/how-to/export_judge.py: our scores against its own. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { locateOnnxJudge, openOnnxJudges } from '../../src/evaluate/index.ts';
import type { JudgePair } from '../../src/evaluate/judges/judge.ts';

const folder = new URL('judges/', import.meta.url);
const golden = JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as {
  max_tokens: number;
  pairs: JudgePair[];
  scores: Record<'embedding' | 'pair', number[]>;
};

async function scores(kind: 'embedding' | 'pair', pairs: readonly JudgePair[]): Promise<number[]> {
  const reading = { kind, max_tokens: golden.max_tokens };
  const { folder: at, file } = await locateOnnxJudge(fileURLToPath(new URL(kind, folder)), reading);
  await using local = await openOnnxJudges([{ folder: at, settings: { ...reading, name: kind, file } }], {
    threads: 1,
  });
  return (await local.judges[0]?.score(pairs)) ?? [];
}
const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN))));

// Float32 through one layer, another order of sums.
it.each(['embedding', 'pair'] as const)('%s: the scores of transformers', async (kind) => {
  const found = await scores(kind, golden.pairs);
  expect(found).toHaveLength(golden.scores[kind].length);
  expect(apart(found, golden.scores[kind])).toBeLessThan(1e-5);
});

it('pair: the reference first, which is not the same', async () => {
  const turned = golden.pairs.map(({ candidate, reference }) => ({
    candidate: reference,
    reference: candidate,
  }));
  expect(apart(await scores('pair', turned), golden.scores.pair)).toBeGreaterThan(0.1);
});
