import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { affineError, Gram, matmulTN, ridge } from '../linalg.ts';

const golden = (
  JSON.parse(
    readFileSync(new URL('../../../test/parity/stats-own/goldens.json', import.meta.url), 'utf8'),
  ) as {
    ridge: {
      n: number;
      ds: number;
      dt: number;
      floor: number;
      X: number[];
      Y: number[];
      fits: { lambda: number; W: number[]; b: number[] }[];
    };
  }
).ridge;

/** Rows of x with unequal scales and a large mean, y = W x + b + noise. */
function planted(rows: number, dx: number, dy: number, noise: number, seed: number) {
  const rng = new Rng(seed);
  const weight = Float64Array.from({ length: dy * dx }, () => rng.normal());
  const bias = Float64Array.from({ length: dy }, () => rng.normal());
  const x = Float32Array.from({ length: rows * dx }, (_, p) => rng.normal() * (1 + (p % dx)) + 50 * (p % 3));
  const y = new Float32Array(rows * dy);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < dy; j++) {
      let sum = bias[j] + noise * rng.normal();
      for (let k = 0; k < dx; k++) sum += weight[j * dx + k] * x[i * dx + k];
      y[i * dy + j] = sum;
    }
  return { weight, bias, x, y };
}
async function gramOf(
  x: Float32Array,
  y: Float32Array,
  dx: number,
  dy: number,
  fullY = false,
): Promise<Gram> {
  const gram = new Gram(dx, dy, { fullY });
  await gram.add(x, y);
  return gram;
}
const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
};

describe('Gram', () => {
  const { x, y } = planted(2500, 6, 4, 1, 1);

  it('equals two plain passes over all rows at once', async () => {
    const gram = await gramOf(x, y, 6, 4, true);
    const mean = (data: Float32Array, d: number, j: number): number => {
      let sum = 0;
      for (let i = 0; i < 2500; i++) sum += data[i * d + j];
      return sum / 2500;
    };
    const moment = (
      a: Float32Array,
      da: number,
      i: number,
      b: Float32Array,
      db: number,
      j: number,
    ): number => {
      const [ma, mb] = [mean(a, da, i), mean(b, db, j)];
      let sum = 0;
      for (let r = 0; r < 2500; r++) sum += (a[r * da + i] - ma) * (b[r * db + j] - mb);
      return sum;
    };
    const near = (got: number, wanted: number): void =>
      expect(Math.abs(got - wanted)).toBeLessThan(1e-10 * (1 + Math.abs(wanted)) + 1e-7);
    for (let i = 0; i < 6; i++) {
      near(gram.meanX[i], mean(x, 6, i));
      near(gram.deviationX()[i], Math.sqrt(moment(x, 6, i, x, 6, i) / 2500));
      for (let j = 0; j < 6; j++) near(gram.xx[i * 6 + j], moment(x, 6, i, x, 6, j));
      for (let j = 0; j < 4; j++) near(gram.xy[i * 4 + j], moment(x, 6, i, y, 4, j));
    }
    for (let j = 0; j < 4; j++) {
      near(gram.yyDiagonal[j], moment(y, 4, j, y, 4, j));
      near(gram.yy![j * 4 + 1], moment(y, 4, j, y, 4, 1));
    }
  });

  it('does not care how rows come: blocks, masks, merges; the same way gives the same bits', async () => {
    const whole = await gramOf(x, y, 6, 4, true);
    const parts = [0, 700, 701, 2500];
    const streamed = new Gram(6, 4, { fullY: true });
    const merged = new Gram(6, 4, { fullY: true });
    for (let p = 0; p < 3; p++) {
      const [from, to] = [parts[p], parts[p + 1]];
      const [xs, ys] = [x.subarray(from * 6, to * 6), y.subarray(from * 4, to * 4)];
      await streamed.add(xs, ys);
      merged.merge(await gramOf(xs, ys, 6, 4, true));
    }
    const masked = new Gram(6, 4, { fullY: true });
    const even = Array.from({ length: 2500 }, (_, i) => i % 2 === 0);
    await masked.add(x, y, even);
    await masked.add(
      x,
      y,
      Uint8Array.from(even, (e) => (e ? 0 : 1)),
    );
    for (const other of [streamed, merged, masked]) {
      expect(other.count).toBe(2500);
      expect(worst(other.meanX, whole.meanX)).toBeLessThan(1e-11);
      expect(worst(other.xx, whole.xx)).toBeLessThan(1e-6);
      expect(worst(other.xy, whole.xy)).toBeLessThan(1e-6);
      expect(worst(other.yy!, whole.yy!)).toBeLessThan(1e-6);
      expect(worst(other.yyDiagonal, whole.yyDiagonal)).toBeLessThan(1e-6);
    }
    expect((await gramOf(x, y, 6, 4)).xy).toEqual(whole.xy);
  });

  it('keeps its digits under a mean 10⁵ times the spread', async () => {
    const rng = new Rng(3);
    const z = Float32Array.from({ length: 4000 }, () => 1e5 + Math.round(rng.normal() * 8) / 8);
    const gram = new Gram(1, 1);
    for (let i = 0; i < 4000; i += 100) await gram.add(z.subarray(i, i + 100), z.subarray(i, i + 100));
    const exact = z.reduce((s, v) => s + (v - 1e5), 0) / 4000;
    const squares = z.reduce((s, v) => s + (v - 1e5 - exact) ** 2, 0);
    expect(Math.abs(gram.xx[0] / squares - 1)).toBeLessThan(1e-11);
  });

  it('takes its products from an engine when given one', async () => {
    let calls = 0;
    const gram = new Gram(6, 4, {
      matmulTN: (a, b, rows, da, db) => {
        calls++;
        return Promise.resolve(Float32Array.from(matmulTN(a, b, rows, da, db)));
      },
    });
    await gram.add(x, y);
    expect(calls).toBe(6); // three chunks, XᵀX and XᵀY
    const plain = await gramOf(x, y, 6, 4);
    for (let p = 0; p < 24; p++) expect(gram.xy[p] / plain.xy[p]).toBeCloseTo(1, 3);
  });

  it('swapped fits the other direction', async () => {
    const gram = await gramOf(x, y, 6, 4, true);
    const back = await gramOf(y, x, 4, 6, true);
    const swapped = gram.swapped();
    expect(worst(swapped.xy, back.xy)).toBeLessThan(1e-7);
    expect(worst(swapped.yyDiagonal, back.yyDiagonal)).toBeLessThan(1e-7);
    expect(ridge(swapped, [0.1])[0].weight.length).toBe(24);
    expect(() => new Gram(2, 2).swapped()).toThrow(/fullY/);
  });

  it('refuses sizes that do not fit and activations that are not finite', async () => {
    const gram = new Gram(2, 1);
    await expect(gram.add(new Float32Array(4), new Float32Array(1))).rejects.toThrow(/Gram.add/);
    await expect(gram.add(new Float32Array(4), new Float32Array(2), [1])).rejects.toThrow(/mask/);
    await expect(gram.add(Float32Array.of(1, Number.NaN), new Float32Array(1))).rejects.toThrow(/finite/);
    expect(() => gram.merge(new Gram(3, 1))).toThrow(/Gram.merge/);
    expect(gram.count).toBe(0);
  });
});

describe('ridge', () => {
  it('equals an augmented least-squares problem solved by numpy, a dead dimension included', async () => {
    const { n, ds, dt, floor, X, Y, fits } = golden;
    const gram = await gramOf(Float32Array.from(X), Float32Array.from(Y), ds, dt);
    expect(gram.count).toBe(n);
    for (const method of ['eigen', 'cholesky'] as const) {
      const got = ridge(
        gram,
        fits.map((f) => f.lambda),
        { floor, method },
      );
      fits.forEach(({ lambda, W, b }, i) => {
        expect(got[i].lambda).toBe(lambda);
        expect(worst(got[i].weight, W)).toBeLessThan(1e-10);
        expect(worst(got[i].bias, b)).toBeLessThan(1e-9);
      });
    }
  });

  it('recovers a planted affine map exactly when unregularised, and shrinks towards ȳ as λ grows', async () => {
    const { x, y, weight, bias } = planted(400, 12, 7, 0, 2);
    const gram = await gramOf(x, y, 12, 7);
    const [exact, weak, strong] = ridge(gram, [0, 1e-8, 1e9]);
    expect(worst(exact.weight, weight)).toBeLessThan(1e-4); // y is float32
    expect(worst(exact.bias, bias)).toBeLessThan(1e-3);
    expect(worst(weak.weight, weight)).toBeLessThan(1e-4);
    expect(worst(strong.weight, new Float64Array(84))).toBeLessThan(1e-6);
    expect(worst(strong.bias, gram.meanY)).toBeLessThan(1e-3);
    expect(affineError(exact, gram).fvu).toBeLessThan(1e-12);
    expect(affineError(strong, gram).fvu).toBeCloseTo(1, 5);
  });

  it('more dimensions than rows: λ = 0 gives the least-norm fit, which still passes through every row', async () => {
    const { x, y } = planted(10, 30, 3, 0, 4);
    const gram = await gramOf(x, y, 30, 3);
    expect(affineError(ridge(gram, [0])[0], gram).fvu).toBeLessThan(1e-10);
    expect(() => ridge(gram, [0], { method: 'cholesky' })).toThrow(/positive definite/);
  });

  it('affineError equals the error computed row by row, on other rows than the fit', async () => {
    const fitRows = planted(300, 8, 5, 2, 5);
    const fit = ridge(await gramOf(fitRows.x, fitRows.y, 8, 5), [0.01])[0];
    const x = planted(120, 8, 5, 2, 6).x;
    const y = new Float32Array(120 * 5);
    const rng = new Rng(8);
    for (let i = 0; i < y.length; i++) y[i] = i % 5 === 4 ? 3 : rng.normal() * 40; // the last dimension never varies
    const squares = new Float64Array(5);
    for (let i = 0; i < 120; i++)
      for (let j = 0; j < 5; j++) {
        let sum = fit.bias[j] - y[i * 5 + j];
        for (let k = 0; k < 8; k++) sum += fit.weight[j * 8 + k] * x[i * 8 + k];
        squares[j] = squares[j] + sum * sum;
      }
    const gram = await gramOf(x, y, 8, 5);
    const error = affineError(fit, gram);
    for (let j = 0; j < 5; j++) expect(error.squares[j] / squares[j]).toBeCloseTo(1, 8);
    const total = squares.reduce((a, b) => a + b, 0);
    expect(error.mse).toBeCloseTo(total / 600, 6);
    expect(error.fvu).toBeCloseTo(total / gram.yyDiagonal.reduce((a, b) => a + b, 0), 8);
    const ratios = [0, 1, 2, 3].map((j) => squares[j] / gram.yyDiagonal[j]);
    expect(error.standardised).toBeCloseTo(ratios.reduce((a, b) => a + b, 0) / 4, 8);
  });

  it('refuses a negative λ and fewer than two rows', async () => {
    const gram = await gramOf(Float32Array.of(1, 2, 3), Float32Array.of(1, 2, 4), 1, 1);
    expect(() => ridge(gram, [-1])).toThrow(/λ ≥ 0/);
    expect(() => ridge(new Gram(1, 1), [1])).toThrow(/at least 2 rows/);
  });
});
