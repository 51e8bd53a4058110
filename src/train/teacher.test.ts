/** @file The loss towards a teacher, against plain loops in float64 and central differences of them. */
import { expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { centralDifference } from '../engine/testing.ts';
import { EMBED, FINAL_NORM, HEAD, type ModelConfig } from '../models/index.ts';
import { cutRow, padBatch, type TrainRow } from './batches.ts';
import { LossHead } from './head.ts';
import { worstRelative } from './oracle.helper.ts';
import { gemmaJson, llamaJson, tinyModel, tinyRows } from './tiny-model.helper.ts';
import { TrainableModel } from './trainable.ts';

const [N, D, V] = [6, 16, 50];
const weights = Float32Array.of(1, 0.3, 1, 1, 1, 2);

/** A random head, states x of a model and h of a teacher, ln Σ exp of whose logits is exact. */
function given(json: Readonly<Record<string, unknown>>) {
  const { config, parameters } = tinyModel(json);
  const rng = new Rng(8);
  const draw = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
  const gain = parameters.get(FINAL_NORM)!.map((g) => g + 0.3 * rng.normal());
  const tensors = { table: parameters.get(config.tied ? EMBED : HEAD)!, gain };
  const [x, states] = [draw(N * D), draw(N * D)];
  const lse = Float32Array.from({ length: N }, (_, n) => logSum(logitsOf(config, tensors, states, n)));
  return { config, tensors, x, teacher: { states, lse } };
}

interface Head {
  readonly table: Float32Array;
  readonly gain: Float32Array;
}

/** Logits [V] of normalised row n. */
function logitsOf(c: ModelConfig, { table, gain }: Head, rows: ArrayLike<number>, n: number): number[] {
  return Array.from({ length: V }, (_, v) => {
    let z = 0;
    for (let j = 0; j < D; j++)
      z += rows[n * D + j] * (gain[j] + (c.normGain === '1+w' ? 1 : 0)) * table[v * D + j];
    return c.logitSoftcap === undefined ? z : c.logitSoftcap * Math.tanh(z / c.logitSoftcap);
  });
}

const logSum = (l: readonly number[]): number => Math.log(l.reduce((sum, x) => sum + Math.exp(x), 0));

/** Σ wₙ KL(teacherₙ ‖ model) from the residual x. */
function divergence(c: ModelConfig, head: Head, x: Float64Array, states: ArrayLike<number>): number {
  let sum = 0;
  for (let n = 0; n < N; n++) {
    const row = x.subarray(n * D, (n + 1) * D);
    const rms = Math.sqrt(row.reduce((s, v) => s + v * v, 0) / D + c.normEps);
    const normed = Float64Array.from(x, (v) => v / rms);
    const [t, l] = [logitsOf(c, head, states, n), logitsOf(c, head, normed, n)];
    const [zt, zl] = [logSum(t), logSum(l)];
    sum += weights[n] * t.reduce((kl, v, i) => kl + Math.exp(v - zt) * (v - zt - (l[i] - zl)), 0);
  }
  return sum;
}

it.each([
  ['llama', llamaJson],
  ['gemma2: soft-cap, gains of 1 + w', gemmaJson],
])('%s: loss and gradient are those of plain loops, in chunks too', async (_, json) => {
  const { config, tensors, x, teacher } = given(json);
  const wide = Float64Array.from(x);
  const want = divergence(config, tensors, wide, teacher.states);
  for (const chunk of [50, 17]) {
    await using head = await LossHead.open(config, { threads: 1 }, chunk);
    const rows = { x, labels: new Int32Array(N), weights, teacher };
    const got = await head.run(rows, tensors, { scale: 0.5 });
    expect(Math.abs(got.loss - want) / want).toBeLessThan(1e-5);
    const rng = new Rng(5);
    for (let draw = 0; draw < 4; draw++) {
      const along = wide.map(() => rng.normal());
      const slope = centralDifference((t) => {
        const moved = wide.map((v, i) => v + t * along[i]);
        return 0.5 * divergence(config, tensors, moved, teacher.states);
      });
      const found = along.reduce((sum, v, i) => sum + v * got.rows![i], 0);
      expect(Math.abs(found - slope) / Math.abs(slope)).toBeLessThan(1e-4);
    }
  }
});

it('a head that would move under its teacher is refused', async () => {
  const { config, tensors, x, teacher } = given(llamaJson);
  await using head = await LossHead.open(config, { threads: 1 });
  const rows = { x, labels: new Int32Array(N), weights, teacher };
  const into = { scale: 1, table: new Float32Array(V * D) };
  await expect(head.run(rows, tensors, into)).rejects.toThrow('must be frozen');
});

/** A row with a random teacher at every token that counts. */
function taught(row: TrainRow, seed: number): TrainRow {
  const { config, tensors } = given(llamaJson);
  const n = row.weights.filter((w, t) => t > 0 && w !== 0).length;
  const rng = new Rng(seed);
  const states = Float32Array.from({ length: n * D }, () => rng.normal());
  const lse = Float32Array.from({ length: n }, (_, i) => logSum(logitsOf(config, tensors, states, i)));
  return { ...row, teacher: { states, lse } };
}

it('rows keep their teachers in a batch and when they are cut; a part of them alone is refused', async () => {
  const rows = tinyRows(4).map((row, i) => taught(row, i));
  const { config, parameters } = tinyModel();
  await using model = await TrainableModel.open(config, parameters, { threads: 1, trains: () => false });
  const lossOf = async (some: readonly TrainRow[]) => (await model.loss(padBatch(some))).loss;
  const alone: number[] = [];
  for (const row of rows) alone.push(await lossOf([row]));
  const together = alone.reduce((a, b) => a + b, 0);
  expect(Math.abs((await lossOf(rows)) - together) / together).toBeLessThan(1e-5);
  const { teacher, ids } = cutRow(rows[0]!, 4);
  expect([ids.length, teacher!.lse.length, teacher!.states.length]).toEqual([4, 2, 2 * D]);
  expect(worstRelative(teacher!.states, rows[0]!.teacher!.states.slice(0, 2 * D))).toBe(0);
  expect(() => padBatch([rows[0]!, tinyRows(1)[0]!])).toThrow('1 of 2 rows have a teacher');
  expect(() =>
    padBatch([{ ...rows[0]!, teacher: rows[0]!.teacher && cutRow(rows[0]!, 3).teacher! }]),
  ).toThrow('a teacher of 1');
});
