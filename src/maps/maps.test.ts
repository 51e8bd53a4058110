/** One suite for all kinds, then what is particular to each. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  collectPairs,
  type PairRows,
  type PairSource,
  pairTable,
  ROW,
  selectPairs,
} from '../activations/index.ts';
import { InputError, Rng } from '../base/index.ts';
import { readSafetensors, readTensorFloat32 } from '../models/index.ts';
import { affineOf } from './affine.ts';
import { hiddenWidth } from './autoencoder.ts';
import { rowFigures } from './figures.ts';
import {
  ActivationMap,
  exportSaelens,
  type FitContext,
  type FitData,
  type FitSettings,
  fitMap,
  loadMap,
  type MapEnd,
  pseudoInverseMap,
  reverseRidge,
  saveMap,
  unregularisedAffine,
} from './index.ts';
import { matmul } from './linalg.ts';
import { scheduleOf } from './schedule.ts';

const DX = 6;
const DY = 7;
const TOKENS = 5;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-maps-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plantedRng = new Rng(77);
const W = Float64Array.from({ length: DX * DY }, () => plantedRng.normal());
const B = Float64Array.from({ length: DY }, () => 3 * plantedRng.normal());

/** y = W x + b + noise; every 10th row is garbage, flagged as a sink. */
function planted(
  blocks: number,
  seed: number,
  { noise = 0.1, garbage = 1e4, relu = false, dy = DY } = {},
): PairSource {
  const rng = new Rng(seed);
  const made: PairRows[] = [];
  for (let k = 0; k < blocks; k++) {
    const n = 200;
    const x = new Float32Array(n * DX);
    const y = new Float32Array(n * dy);
    const tokens = new Int32Array(n);
    const flags = new Uint8Array(n);
    for (let i = 0; i < n; i++) {
      tokens[i] = rng.int(TOKENS);
      for (let j = 0; j < DX; j++) x[i * DX + j] = (1 + j) * rng.normal() + 5 * j + (tokens[i] ?? 0);
      for (let j = 0; j < dy; j++) {
        let sum = B[j] + noise * rng.normal();
        for (let d = 0; d < DX; d++)
          sum += W[j * DX + d] * (relu ? Math.abs(x[i * DX + d] - 5 * d) : x[i * DX + d]);
        y[i * dy + j] = sum;
      }
      if (i % 10 === 0) {
        flags[i] = ROW.sink;
        for (let j = 0; j < DX; j++) x[i * DX + j] = garbage;
      }
    }
    const zeros = new Int32Array(n);
    made.push({ n, x, y, sourceTokens: tokens, targetTokens: tokens, text: zeros, position: zeros, flags });
  }
  return pairTable(DX, dy, made);
}

const end = (width: number, block: number): MapEnd => ({
  model: `hash${block}`,
  name: `model${block}`,
  block,
  hook: `blocks.${block}.hook_resid_post`,
  width,
});
function context(overrides: Partial<FitContext> = {}): FitContext {
  return {
    fit: 'with_tags',
    source: end(DX, 2),
    target: end(DY, 3),
    sourceTokenizer: 't',
    targetTokenizer: 't',
    data: 'd',
    seed: 5,
    rng: new Rng(5),
    threads: 1,
    ...overrides,
  };
}
const data = (options = {}): FitData => ({
  train: planted(8, 1, options),
  validation: planted(2, 2, options),
  shuffled: { train: planted(4, 3, options), validation: planted(2, 4, options) },
});
const wide = (dy: number, options = {}): FitData => ({
  train: planted(8, 1, { dy, ...options }),
  validation: planted(2, 2, { dy, ...options }),
});
const good = async (source: PairSource): Promise<PairRows> => collectPairs(selectPairs(source));
async function fvu(map: ActivationMap, source: PairSource): Promise<number> {
  const rows = await good(source);
  const predicted = map.apply(rows.x, rows.n, { tokenIds: rows.targetTokens });
  return rowFigures(predicted, rows.y, rows.n, source.dy).fvu;
}

const kinds: FitSettings[] = [
  { kind: 'affine' },
  { kind: 'affine-sgd', steps: 60, batch: 128 },
  { kind: 'autoencoder', hidden: 'wide', steps: 60, batch: 128 },
  { kind: 'mean' },
  { kind: 'token-mean' },
  { kind: 'shuffled' },
  { kind: 'random' },
  { kind: 'identity' },
];

describe.each(kinds)('every map: $kind', (settings) => {
  const square = settings.kind === 'identity';
  const dy = square ? DX : DY;
  const circumstances = (): FitContext => context({ target: end(dy, 3) });
  const rowsOf = (): FitData => (square ? wide(DX) : data());
  let map: ActivationMap;
  let test: PairRows;
  const apply = (m: ActivationMap, rows: PairRows): Float32Array =>
    m.apply(rows.x, rows.n, { tokenIds: rows.targetTokens });

  beforeAll(async () => {
    map = await fitMap(settings, rowsOf(), circumstances());
    test = await good(planted(1, 9, { dy }));
  });

  it('is made by its rows and its seed alone', async () => {
    const again = await fitMap(settings, rowsOf(), circumstances());
    expect(again.body.tensors).toEqual(map.body.tensors);
    expect(map.record).toMatchObject({ kind: settings.kind, fit: 'with_tags', seed: 5, data: 'd' });
    expect(map.record.fitSeconds).toBeGreaterThanOrEqual(0);
  });

  it('never sees flagged rows', async () => {
    const other = square ? wide(DX, { garbage: -77 }) : data({ garbage: -77 });
    const again = await fitMap(settings, other, circumstances());
    expect(again.body.tensors).toEqual(map.body.tensors);
    expect(again.sourceMean).toEqual(map.sourceMean);
  });

  it('maps a row alone as in a block, into fresh memory of the right size', () => {
    const before = test.x.slice();
    const all = apply(map, test);
    expect(all.length).toBe(test.n * dy);
    expect(test.x).toEqual(before);
    expect(all.buffer).not.toBe(test.x.buffer);
    expect(all.every(Number.isFinite)).toBe(true);
    for (const i of [0, 1, test.n - 1]) {
      const alone = map.applyRow(test.x.slice(i * DX, (i + 1) * DX), test.targetTokens[i]);
      expect(alone).toEqual(all.slice(i * dy, (i + 1) * dy));
    }
  });

  it('comes back from disk bit by bit, with its record', async () => {
    const path = join(folder, settings.kind);
    await saveMap(map.withMetrics({ extra: 0.1, lost: Number.NaN }), path);
    const loaded = await loadMap(path);
    expect(apply(loaded, test)).toEqual(apply(map, test));
    expect(loaded.sourceMean).toEqual(map.sourceMean);
    expect(loaded.record).toEqual({ ...map.record, metrics: { ...map.record.metrics, extra: 0.1 } });
    expect(loaded.parameters).toBe(map.parameters);
  });

  it('refuses a model, block, hook or width it was not made for', () => {
    const source = end(DX, 2);
    const target = end(dy, 3);
    map.assertFits(source, target);
    for (const wrong of [{ model: 'x' }, { block: 1 }, { hook: 'hook_embed' }, { width: 9 }]) {
      expect(() => map.assertFits({ ...source, ...wrong }, target)).toThrow(InputError);
      expect(() => map.assertFits(source, { ...target, ...wrong })).toThrow(/was made for target/);
    }
    expect(() => map.apply(new Float32Array(DX + 1), 1)).toThrow(/wanted 1 rows of width 6/);
  });

  it('counts its parameters', () => {
    const sizes = Object.entries(map.body.tensors).filter(([name]) => name !== 'tokens');
    expect(map.parameters).toBe(sizes.reduce((n, [, t]) => n + t.data.length, 0));
  });
});

describe('affine', () => {
  it('finds the planted map and leaves only the noise', async () => {
    const d = data();
    const map = await fitMap({ kind: 'affine' }, d, context());
    const { weight, bias } = map.body.tensors;
    for (let p = 0; p < W.length; p++) expect(weight.data[p]).toBeCloseTo(W[p], 1);
    for (let j = 0; j < DY; j++) expect(Math.abs(bias.data[j] - B[j])).toBeLessThan(0.2);
    const rows = await good(d.validation);
    const figures = rowFigures(map.apply(rows.x, rows.n), rows.y, rows.n, DY);
    expect(figures.mse).toBeGreaterThan(0.008); // noise² = 0.01
    expect(figures.mse).toBeLessThan(0.0125);
    expect(map.record.metrics.mse).toBeCloseTo(figures.mse, 5); // moments against rows
    expect(map.record.metrics.fvu).toBeCloseTo(figures.fvu, 7);
    expect(map.record.rows).toBe(8 * 180);
  });

  it('takes a stronger ridge where rows are few and noisy', async () => {
    const few = { train: planted(1, 1, { noise: 60 }), validation: planted(8, 2, { noise: 60 }) };
    const map = await fitMap({ kind: 'affine', lambdas: [0, 0.03, 0.3, 3, 30] }, few, context());
    expect(map.record.settings.lambda).toBeGreaterThan(0);
  });

  it('no_tag_rows leaves out the rows of the span', async () => {
    const d = data();
    const spanned = async (source: PairSource): Promise<PairSource> => {
      const rows = await collectPairs(source);
      rows.flags.forEach((f, i) => {
        if (i % 3 === 0) rows.flags[i] = f | ROW.span;
      });
      return pairTable(DX, DY, [rows]);
    };
    const tagged = { train: await spanned(d.train), validation: await spanned(d.validation) };
    const all = await fitMap({ kind: 'affine' }, tagged, context());
    const without = await fitMap({ kind: 'affine' }, tagged, context({ fit: 'no_tag_rows' }));
    expect(all.record.rows).toBe(1440);
    expect(without.record.rows).toBe(960);
  });

  it('refuses rows of another width, and too few of them', async () => {
    await expect(fitMap({ kind: 'affine' }, wide(3), context())).rejects.toThrow(/wanted rows 6→7, got 6→3/);
    const none = { train: pairTable(DX, DY, []), validation: planted(1, 1) };
    await expect(fitMap({ kind: 'affine' }, none, context())).rejects.toThrow(/0 rows are left/);
  });
});

describe('maps learnt by gradient', () => {
  it('three raw full-batch steps equal AdamW written out in float64', async () => {
    const d = data();
    const settings = { kind: 'affine-sgd', preset: 'blog', steps: 3, batch: 1e9 } as const;
    const map = await fitMap(settings, d, context());
    const rng = new Rng(5).fork('initial weights');
    const bound = 1 / Math.sqrt(DX);
    const draw = (n: number): number[] =>
      Array.from({ length: n }, () => Math.fround((2 * rng.next() - 1) * bound));
    const w = draw(DX * DY);
    const b = draw(DY);
    const rows = await collectPairs(d.train); // blog keeps position 0 and sinks
    const moments = [w, b].map((t) => ({ m: t.map(() => 0), v: t.map(() => 0) }));
    for (let step = 1; step <= 3; step++) {
      const gw = w.map(() => 0);
      const gb = b.map(() => 0);
      for (let i = 0; i < rows.n; i++)
        for (let j = 0; j < DY; j++) {
          let e = b[j] - rows.y[i * DY + j];
          for (let k = 0; k < DX; k++) e += w[j * DX + k] * rows.x[i * DX + k];
          const g = (2 * e) / (rows.n * DY);
          gb[j] = gb[j] + g;
          for (let k = 0; k < DX; k++) gw[j * DX + k] = gw[j * DX + k] + g * rows.x[i * DX + k];
        }
      for (const [t, g, { m, v }, decay] of [
        [w, gw, moments[0], 1 - 1e-4 * 0.01],
        [b, gb, moments[1], 1],
      ] as const)
        for (let p = 0; p < t.length; p++) {
          m[p] = 0.9 * m[p] + 0.1 * g[p];
          v[p] = 0.999 * v[p] + 0.001 * g[p] ** 2;
          const unbiased = Math.sqrt(v[p] / (1 - 0.999 ** step)) + 1e-8;
          t[p] = t[p] * decay - ((1e-4 / (1 - 0.9 ** step)) * m[p]) / unbiased;
        }
    }
    const { weight, bias } = map.body.tensors;
    for (let p = 0; p < w.length; p++) expect(weight.data[p]).toBeCloseTo(w[p], 6);
    for (let j = 0; j < DY; j++) expect(bias.data[j]).toBeCloseTo(b[j], 6);
  });

  it('tuned: comes close to the closed form; curves fall and end in the reported figures', async () => {
    const d = data({ noise: 2 });
    const affine = await fitMap({ kind: 'affine' }, d, context());
    const sgd = await fitMap(
      { kind: 'affine-sgd', steps: 400, batch: 256, learning_rate: 0.02 },
      d,
      context(),
    );
    const test = planted(4, 8, { noise: 2 });
    expect(await fvu(sgd, test)).toBeLessThan(1.05 * (await fvu(affine, test)));
    const { curves, metrics } = sgd.record;
    expect(curves!.step[0]).toBe(0);
    expect(curves!.step.at(-1)).toBe(400);
    expect(curves!.fvu.at(-1)).toBeLessThan(0.1 * curves!.fvu[0]!);
    expect(curves!.fvu.at(-1)).toBe(metrics.fvu);
    expect(curves!.fit_seconds.every((s, i, all) => i === 0 || s! >= all[i - 1]!)).toBe(true);
    for (const column of Object.values(curves!)) expect(column.length).toBe(curves!.step.length);
  });

  it('the autoencoder learns what no affine map can', async () => {
    const d = data({ relu: true });
    const affine = await fitMap({ kind: 'affine' }, d, context());
    const net = await fitMap(
      { kind: 'autoencoder', hidden: 48, steps: 800, batch: 256, learning_rate: 0.01 },
      d,
      context(),
    );
    const test = planted(4, 8, { relu: true });
    expect(await fvu(net, test)).toBeLessThan(0.3 * (await fvu(affine, test)));
  });

  it('warm start: step 0 is the ridge map when the hidden layer holds it, and training does not lose it', async () => {
    const d = data();
    const affine = await fitMap({ kind: 'affine' }, d, context());
    const warm = await fitMap(
      {
        kind: 'autoencoder',
        hidden: 2 * DX + 3,
        warm_start: true,
        steps: 30,
        batch: 256,
        learning_rate: 1e-4,
      },
      d,
      context(),
    );
    const rows = await good(d.validation);
    const ridge = rowFigures(affine.apply(rows.x, rows.n), rows.y, rows.n, DY).fvu;
    expect(warm.record.curves!.fvu[0]).toBeCloseTo(ridge, 6);
    expect(warm.record.curves!.fvu.at(-1)).toBeLessThan(3 * ridge);
  });

  it('further figures of the caller join the curves; a stop is obeyed', async () => {
    const d = data();
    let calls = 0;
    const evaluate = async (): Promise<Record<string, number>> => ({
      kl_div: calls++ === 0 ? Number.NaN : 2,
    });
    const settings = { kind: 'affine-sgd', steps: 20, batch: 64 } as const;
    const map = await fitMap(settings, d, context({ evaluate, curvePoints: 3 }));
    expect(map.record.curves!.step).toEqual([0, 5, 20]);
    expect(map.record.curves!.kl_div).toEqual([null, 2, 2]);
    const controller = new AbortController();
    const stopped = fitMap(
      { ...settings, steps: 100_000 },
      d,
      context({ signal: controller.signal, onProgress: () => controller.abort() }),
    );
    await expect(stopped).rejects.toThrow(/stopped/);
  });

  it('schedules and widths', () => {
    expect(scheduleOf({ preset: 'blog' }, 1000)).toMatchObject({
      learningRate: 1e-4,
      standardize: false,
      steps: 1500,
    });
    expect(scheduleOf({ preset: 'blog' }, 2_000_000).steps).toBe(Math.ceil(6_000_000 / 2048));
    expect(scheduleOf({ epochs: 2, batch: 100 }, 1050).steps).toBe(21);
    expect(scheduleOf({}, 10)).toMatchObject({ learningRate: 2e-3, standardize: true, steps: 1500 });
    expect(hiddenWidth('source', 128, 192)).toBe(128);
    expect(hiddenWidth('geometric', 128, 192)).toBe(156);
    expect(hiddenWidth('wide', 128, 192)).toBe(512);
    expect(() => hiddenWidth(0.5, 1, 1)).toThrow(InputError);
  });
});

describe('controls', () => {
  it('mean is the mean, token-mean the mean of a token, of an unknown token the mean of all', async () => {
    const d = data();
    const rows = await good(d.train);
    const mean = await fitMap({ kind: 'mean' }, d, context());
    const tokenMean = await fitMap({ kind: 'token-mean' }, d, context());
    const x = new Float32Array(DX);
    for (const [token, got] of [
      [-1, mean.applyRow(x)],
      [-1, tokenMean.applyRow(x, 99)],
      [0, tokenMean.applyRow(x, 0)],
      [3, tokenMean.applyRow(x, 3)],
    ] as const)
      for (let j = 0; j < DY; j++) {
        let sum = 0;
        let n = 0;
        for (let i = 0; i < rows.n; i++)
          if (token < 0 || rows.targetTokens[i] === token) {
            sum += rows.y[i * DY + j];
            n++;
          }
        expect(got[j]).toBeCloseTo(sum / n, 4);
      }
    expect(() => tokenMean.applyRow(x)).toThrow(/target's token of each of 1 rows/);
    expect(await fvu(mean, d.train)).toBeCloseTo(1, 5);
    expect(await fvu(tokenMean, d.train)).toBeLessThan(1);
  });

  it('random has the mean and the total variance of y, and predicts nothing', async () => {
    const d = data();
    const rows = await good(d.train);
    const fvus: number[] = [];
    for (let seed = 0; seed < 8; seed++) {
      const map = await fitMap({ kind: 'random' }, d, context({ rng: new Rng(seed) }));
      const out = map.apply(rows.x, rows.n);
      const moments = (values: Float32Array): { mean: number[]; variance: number } => {
        const mean = Array.from({ length: DY }, (_, j) => {
          let sum = 0;
          for (let i = 0; i < rows.n; i++) sum += values[i * DY + j];
          return sum / rows.n;
        });
        let variance = 0;
        values.forEach((v, p) => {
          variance += (v - mean[p % DY]) ** 2 / rows.n;
        });
        return { mean, variance };
      };
      const got = moments(out);
      const want = moments(rows.y);
      got.mean.forEach((m, j) => {
        expect(m).toBeCloseTo(want.mean[j], 2);
      });
      expect(got.variance / want.variance).toBeCloseTo(1, 4);
      fvus.push(await fvu(map, d.validation));
    }
    // Independent of y it would be 2 on average.
    expect(fvus.reduce((a, b) => a + b) / 8).toBeGreaterThan(1.2);
    expect(new Set(fvus).size).toBe(8);
  });

  it('shuffled wants its own rows; identity one width', async () => {
    const { train, validation } = data();
    await expect(fitMap({ kind: 'shuffled' }, { train, validation }, context())).rejects.toThrow(
      /shuffledTexts/,
    );
    await expect(fitMap({ kind: 'identity' }, data(), context())).rejects.toThrow(/one width, got 6 and 7/);
  });
});

describe('inverse', () => {
  it('the pseudo-inverse undoes an unregularised map; truncated keeps fewer directions', async () => {
    const d = data();
    const map = await unregularisedAffine(d, context());
    const rows = await good(d.validation);
    const back = pseudoInverseMap(map);
    expect(back.source).toEqual(map.target);
    expect(back.record).toMatchObject({ kind: 'pinv', settings: { of: 'affine', rank: DX } });
    const x = back.apply(map.apply(rows.x, rows.n), rows.n);
    for (let p = 0; p < x.length; p++) expect(Math.abs(x[p] - rows.x[p])).toBeLessThan(2e-3);
    const truncated = pseudoInverseMap(map, 0.4);
    expect(truncated.record.settings.rank).toBeLessThan(DX);
    expect(truncated.kind).toBe('truncated');
    const path = join(folder, 'inverse');
    await saveMap(truncated, path);
    expect((await loadMap(path)).body.tensors).toEqual(truncated.body.tensors);
    // Without full rank, what float32 left of the missing directions is not inverted.
    const rng = new Rng(3);
    const [p, q] = [2 * DY, 2 * DX].map((n) => Float64Array.from({ length: n }, () => rng.normal()));
    const flat = Float32Array.from(matmul(p!, q!, DY, 2, DX));
    const lacking = new ActivationMap(
      map.record,
      affineOf({ weight: Float64Array.from(flat), bias: new Float64Array(DY) }, DX, DY),
      map.sourceMean,
    );
    const inverse = pseudoInverseMap(lacking);
    expect(inverse.record.settings.rank).toBe(2);
    const w = Float64Array.from(flat);
    const plus = Float64Array.from(inverse.body.tensors.weight!.data);
    const again = matmul(matmul(w, plus, DY, DX, DY), w, DY, DY, DX);
    again.forEach((v, i) => {
      expect(Math.abs(v - w[i]!)).toBeLessThan(1e-5);
    });
    const mean = await fitMap({ kind: 'mean' }, d, context());
    expect(() => pseudoInverseMap(mean)).toThrow(/wanted an affine map, got mean/);
  });

  it('reverse ridge is the ridge fit of the swapped rows', async () => {
    const d = data();
    const back = await reverseRidge(d, context());
    const swap = async (source: PairSource): Promise<PairSource> => {
      const r = await collectPairs(source);
      return pairTable(DY, DX, [{ ...r, x: r.y, y: r.x }]);
    };
    const direct = await fitMap(
      { kind: 'affine' },
      { train: await swap(d.train), validation: await swap(d.validation) },
      context({ source: end(DY, 3), target: end(DX, 2) }),
    );
    expect(back.record.settings).toEqual(direct.record.settings);
    const [a, b] = [back.body.tensors.weight, direct.body.tensors.weight];
    expect(a.shape).toEqual([DX, DY]);
    for (let p = 0; p < a.data.length; p++) expect(a.data[p]).toBeCloseTo(b.data[p], 4);
    expect(back.kind).toBe('reverse_ridge');
  });
});

describe('files', () => {
  it('SAELens: the formula on the exported tensors gives what the map gives', async () => {
    const d = data();
    for (const settings of [kinds[0], kinds[2], kinds[3]]) {
      const map = await fitMap(settings, d, context());
      const path = join(folder, `saelens-${settings.kind}`);
      await exportSaelens(map, path);
      const cfg = JSON.parse(await readFile(join(path, 'cfg.json'), 'utf8')) as Record<string, unknown>;
      expect(cfg).toMatchObject({
        architecture: 'skip_transcoder',
        d_in: DX,
        d_out: DY,
        normalize_activations: 'none',
      });
      const t: Record<string, Float32Array> = {};
      for (const info of (await readSafetensors(join(path, 'sae_weights.safetensors'))).tensors)
        t[info.name] = (await readTensorFloat32(info)).data;
      const h = cfg.d_sae as number;
      const rows = await good(d.validation);
      const want = map.apply(rows.x, rows.n);
      for (let i = 0; i < 20; i++) {
        const hidden = Array.from({ length: h }, (_, u) => {
          let sum = t.b_enc[u];
          for (let k = 0; k < DX; k++) sum += rows.x[i * DX + k] * t.W_enc[k * h + u];
          return Math.max(0, sum);
        });
        for (let j = 0; j < DY; j++) {
          let sum = t.b_dec[j];
          hidden.forEach((v, u) => {
            sum += v * t.W_dec[u * DY + j];
          });
          for (let k = 0; k < DX; k++) sum += rows.x[i * DX + k] * t.W_skip[j * DX + k];
          expect(Math.abs(sum - want[i * DY + j])).toBeLessThan(1e-4 * (1 + Math.abs(sum)));
        }
      }
    }
    const tokenMean = await fitMap({ kind: 'token-mean' }, d, context());
    await expect(exportSaelens(tokenMean, join(folder, 'no'))).rejects.toThrow(/not of the form/);
  });

  it('a folder that is no map, or whose halves do not belong together, is refused in one line', async () => {
    await expect(loadMap(join(folder, 'absent'))).rejects.toThrow(InputError);
    const path = join(folder, 'broken');
    await saveMap(await fitMap({ kind: 'affine' }, data(), context()), path);
    const json = JSON.parse(await readFile(join(path, 'map.json'), 'utf8')) as {
      target: { width: number };
      kind: string;
      extra?: number;
    };
    const write = (value: unknown): Promise<void> => writeFile(join(path, 'map.json'), JSON.stringify(value));
    await write({ ...json, target: { ...json.target, width: 8 } });
    await expect(loadMap(path)).rejects.toThrow(/not that of a map of kind affine to width 8/);
    await write({ ...json, kind: 'autoencoder' });
    await expect(loadMap(path)).rejects.toThrow(InputError);
    await write({ ...json, extra: 1 });
    await expect(loadMap(path)).rejects.toThrow(/extra/);
  });
});

describe('a saved map', () => {
  it('has the same bytes whatever time the fit took, and gives its times back', async () => {
    const map = await fitMap(kinds[0], data(), context());
    const slow = new ActivationMap({ ...map.record, fitSeconds: 99 }, map.body, map.sourceMean);
    const [a, b] = [join(folder, 'quick'), join(folder, 'slow')];
    await saveMap(map, a);
    await saveMap(slow, b);
    for (const name of ['map.json', 'map.safetensors', '.crosspatch.json'])
      expect((await readFile(join(a, name))).equals(await readFile(join(b, name))), name).toBe(true);
    expect((await loadMap(b)).record.fitSeconds).toBe(99);
    await writeFile(join(b, 'times.json'), 'null');
    expect((await loadMap(b)).record.fitSeconds).toBe(0);
  });

  it('one flipped bit of a number is refused by the name of the file', async () => {
    const path = join(folder, 'flipped');
    await saveMap(await fitMap(kinds[0], data(), context()), path);
    const file = join(path, 'map.safetensors');
    const bytes = await readFile(file);
    bytes[bytes.length - 4]! ^= 1; // the last bit of a mean
    await writeFile(file, bytes);
    await expect(loadMap(path)).rejects.toThrow(/map.safetensors was changed after it was written/);
  });
});
