/** @file Choosing tokens: against closed forms and frequencies. */
import { describe, expect, test } from 'vitest';
import { InputError, Rng } from '../base/index.ts';
import { argmaxWithGap, checkSampling, logSumExp, Sampler, sampleToken } from './sampling.ts';

const row = Float32Array.of(1, 3, 2, 3, -1);

describe('greedy', () => {
  test('the first of equal logits, gap to the second', () => {
    expect(argmaxWithGap(row)).toEqual({ index: 1, gap: 0 });
    expect(argmaxWithGap(Float32Array.of(0.5, -1, 2))).toEqual({ index: 2, gap: 1.5 });
    expect(argmaxWithGap(Float32Array.of(7))).toEqual({ index: 0, gap: Number.POSITIVE_INFINITY });
  });

  test('NaN logits have no gap', () => {
    expect(argmaxWithGap(Float32Array.of(Number.NaN, Number.NaN)).gap).toBeNaN();
    expect(argmaxWithGap(Float32Array.of(Number.NaN, 1, Number.NaN, 3))).toEqual({ index: 3, gap: 2 });
  });

  test('temperature 0 draws nothing', () => {
    const rng = new Rng(1);
    expect(sampleToken(row, { temperature: 0 }, rng)).toBe(1);
    expect(rng.uint32()).toBe(new Rng(1).uint32());
  });
});

test('logSumExp does not overflow', () => {
  expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 10);
  expect(logSumExp(row)).toBeCloseTo(Math.log([1, 3, 2, 3, -1].reduce((s, v) => s + Math.exp(v), 0)), 12);
});

/** Share of each token in 40,000 draws. */
function shares(options: ConstructorParameters<typeof Sampler>[0], logits = row): number[] {
  const sampler = new Sampler(options);
  const rng = new Rng(5);
  const counts = Array.from(logits, () => 0);
  for (let i = 0; i < 40_000; i++) counts[sampler.draw(logits, rng)]++;
  return counts.map((n) => n / 40_000);
}

/** Softmax(row / temperature) over the kept indices, the rest 0. */
function expected(kept: readonly number[], temperature: number): number[] {
  const weights = Array.from(row, (v, i) => (kept.includes(i) ? Math.exp(v / temperature) : 0));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / total);
}

describe('drawing follows softmax(logits / temperature) over what is kept', () => {
  // standard error of a share ≤ 0.0025
  const cases = [
    { options: { temperature: 1 }, kept: [0, 1, 2, 3, 4] },
    { options: { temperature: 0.5 }, kept: [0, 1, 2, 3, 4] },
    { options: { temperature: 3, topK: 4 }, kept: [0, 1, 2, 3] },
    { options: { temperature: 2, topK: 1 }, kept: [1] }, // of equals the first
    { options: { temperature: 1, topK: 99 }, kept: [0, 1, 2, 3, 4] },
    { options: { temperature: 1, topP: 0.3 }, kept: [1] }, // p₁ = 0.396
    { options: { temperature: 1, topP: 0.79 }, kept: [1, 3] }, // p₁ + p₃ = 0.792
    { options: { temperature: 1, topP: 0.9 }, kept: [1, 2, 3] },
  ];
  test.each(cases)('$options', ({ options, kept }) => {
    const want = expected(kept, options.temperature);
    const worst = Math.max(...shares(options).map((share, i) => Math.abs(share - want[i])));
    expect(worst).toBeLessThan(0.01);
  });

  test('top-p is a share of what top-k left', () => {
    // softmax over {1, 3, 2}: 0.422, 0.422, 0.155; the first two reach 0.84, so 0.84 keeps two and 0.85 three
    expect(shares({ temperature: 1, topK: 3, topP: 0.84 })[2]).toBe(0);
    expect(shares({ temperature: 1, topK: 3, topP: 0.85 })[2]).toBeGreaterThan(0.1);
  });

  test('a very low temperature is greedy, however large the logits', () => {
    expect(shares({ temperature: 1e-3 }, Float32Array.of(1e4, 1e4 + 1, -1e4))).toEqual([0, 1, 0]);
  });
});

test('the same seed draws the same tokens', () => {
  const draw = (seed: number): number[] => {
    const rng = new Rng(seed);
    return Array.from({ length: 30 }, () => sampleToken(row, { temperature: 1 }, rng));
  };
  expect(draw(3)).toEqual(draw(3));
  expect(draw(3)).not.toEqual(draw(4));
});

test.each([
  [{ temperature: -1 }, 'temperature: wanted a number ≥ 0, got -1'],
  [{ temperature: Number.NaN }, 'temperature: wanted a number ≥ 0, got NaN'],
  [{ topK: 0 }, 'top-k: wanted an integer ≥ 1, got 0'],
  [{ topK: 1.5 }, 'top-k: wanted an integer ≥ 1, got 1.5'],
  [{ topP: 0 }, 'top-p: wanted a number in (0, 1], got 0'],
  [{ topP: 1.1 }, 'top-p: wanted a number in (0, 1], got 1.1'],
])('%o is refused', (options, message) => {
  expect(() => checkSampling(options)).toThrow(InputError);
  expect(() => new Sampler(options)).toThrow(message);
});
