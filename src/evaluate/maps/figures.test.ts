import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectPairs, livePairs, type PairedText, pairTable, selectPairs } from '../../activations/index.ts';
import { InputError, Rng } from '../../base/index.ts';
import { rateSchema } from '../../contracts/results.ts';
import { randomModel } from '../../interventions/fixture.helper.ts';
import { type ActivationMap, type FitContext, type FitData, fitMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { curveEvaluator } from './curves.ts';
import { mapFigures } from './figures.ts';
import { inverseFigures, inverseMaps, sourceTokenMean, swapTexts } from './inverse.ts';
import { ratioFigures } from './sums.ts';

type Fixture = Awaited<ReturnType<typeof randomModel>>;
let a: Fixture;
let b: Fixture;
let data: FitData;
let context: FitContext;
let maps: Record<string, ActivationMap>;
const L = 1;
const M = 0;
const hook = (block: number): string => `blocks.${block}.hook_resid_post`;

function texts(count: number, seed: number): PairedText[] {
  const rng = new Rng(seed);
  return Array.from({ length: count }, (_, i) => {
    const ids = [1, ...Array.from({ length: 3 + rng.int(9) }, () => 4 + rng.int(30))];
    return { id: `${seed}/${i}`, prompt: `${seed}/${i}`, label: 'safe', source: ids, target: ids };
  });
}

beforeAll(async () => {
  a = await randomModel('llama');
  b = await randomModel('smollm2');
  const sides = [
    { decoder: a.model.decoder, hook: hook(L) },
    { decoder: b.model.decoder, hook: hook(M) },
  ] as const;
  const table = async (list: PairedText[]) =>
    pairTable(48, 48, [await collectPairs(livePairs(list, sides[0], sides[1]))]);
  data = { train: await table(texts(120, 1)), validation: await table(texts(20, 2)) };
  const end = (name: string, block: number) => ({ model: name, name, block, hook: hook(block), width: 48 });
  context = {
    fit: 'with_tags',
    source: end('a', L),
    target: end('b', M),
    sourceTokenizer: 't',
    targetTokenizer: 't',
    data: 'd',
    seed: 0,
    rng: new Rng(0),
  };
  maps = {};
  for (const kind of ['affine', 'mean', 'token-mean', 'random', 'identity'] as const)
    maps[kind] = await fitMap({ kind }, data, context);
});
afterAll(async () => {
  await a.release();
  await b.release();
});

const options = (list: PairedText[], some: Record<string, ActivationMap>) => ({
  source: a.model.decoder,
  target: b.model.decoder,
  texts: list,
  maps: some,
  tokenMean: maps['token-mean'],
  rng: new Rng(3),
  resamples: 200,
});

/** Log-probabilities at every position, by the model's public way of running with a hook. */
async function logprobs(
  model: LanguageModel,
  ids: readonly number[],
  y?: Float32Array,
): Promise<Float64Array[]> {
  const logits = await model.runWithHooks([[...ids]], {
    fwdHooks: [
      [
        hook(M),
        (activation) => {
          if (y) activation.data.set(y.subarray(48), 48);
        },
      ],
    ],
  });
  const v = model.config.vocabSize;
  return ids.map((_, t) => {
    const row = Float64Array.from(logits.data.subarray(t * v, (t + 1) * v));
    const top = Math.max(...row);
    const z = top + Math.log(row.reduce((s, l) => s + Math.exp(l - top), 0));
    return row.map((l) => l - z);
  });
}

describe('mapFigures', () => {
  it('equal the definitions written out over all rows at once', async () => {
    const list = texts(9, 5);
    const figures = await mapFigures({ ...options(list, maps), batch: 4, forced: 3 });
    const all = await collectPairs(
      livePairs(
        list,
        { decoder: a.model.decoder, hook: hook(L) },
        { decoder: b.model.decoder, hook: hook(M) },
      ),
    );
    const rows = await collectPairs(selectPairs(pairTable(48, 48, [all])));
    const n = rows.n;
    const y = (r: typeof rows, i: number): number[] => [...r.y.slice(i * 48, (i + 1) * 48)];
    const each = Array.from({ length: n }, (_, i) => y(rows, i));
    const mean = each[0].map((_, j) => each.reduce((s, row) => s + row[j], 0) / n);
    const centre = maps['token-mean'].body.tensors.fallback.data;
    const scalar = all.y.reduce((s, v) => s + v, 0) / all.y.length;
    const distance = (u: ArrayLike<number>, v: ArrayLike<number>): number =>
      Array.from(u, (x, j) => (x - v[j]) ** 2).reduce((s, x) => s + x, 0);
    const dot = (u: ArrayLike<number>, v: ArrayLike<number>): number =>
      Array.from(u, (x, j) => x * v[j]).reduce((s, x) => s + x, 0);
    const minus = (u: ArrayLike<number>, v: ArrayLike<number>): number[] => Array.from(u, (x, j) => x - v[j]);
    const cosine = (u: ArrayLike<number>, v: ArrayLike<number>): number =>
      dot(u, v) / Math.sqrt(dot(u, u) * dot(v, v));
    for (const [name, map] of Object.entries(maps)) {
      const got = figures[name];
      const value = (key: keyof typeof got): number => (got[key] as { value: number }).value;
      const predict = (r: typeof rows, i: number): Float32Array =>
        map.applyRow(r.x.slice(i * 48, (i + 1) * 48), r.targetTokens[i]);
      const predicted = each.map((_, i) => predict(rows, i));
      const error = predicted.reduce((s, p, i) => s + distance(p, each[i]), 0);
      const spread = each.reduce((s, v) => s + distance(v, mean), 0);
      const around = each.reduce(
        (s, v, i) => s + distance(v, maps['token-mean'].applyRow(new Float32Array(48), rows.targetTokens[i])),
        0,
      );
      let errorAll = 0;
      for (let i = 0; i < all.n; i++) errorAll += distance(predict(all, i), y(all, i));
      const spreadAll = all.y.reduce((s, v) => s + (v - scalar) ** 2, 0);
      const close = (key: keyof typeof got, wanted: number): void =>
        expect(Math.abs(value(key) - wanted), `${name} ${key}`).toBeLessThan(1e-6 * (1 + Math.abs(wanted)));
      close('mse', error / (n * 48));
      close('fvu', error / spread);
      close('fvu_token', error / around);
      close('fvu_blog', errorAll / spreadAll);
      close('cossim', predicted.reduce((s, p, i) => s + cosine(p, each[i]), 0) / n);
      if (name !== 'mean')
        close(
          'cossim_centred',
          predicted.reduce((s, p, i) => s + cosine(minus(p, centre), minus(each[i], centre)), 0) / n,
        );
      expect(got.mse).toMatchObject({ n: 9 });
    }
    expect((figures['token-mean'].fvu_token as { value: number }).value).toBeCloseTo(1, 9);
    expect((figures.affine.fvu as { value: number }).value).toBeLessThan(
      (figures.random.fvu as { value: number }).value,
    );
    for (const figure of Object.values(figures.affine)) expect(rateSchema.parse(figure)).toEqual(figure);
  });

  it('kl_div, top1_agreement and ce_delta equal hooked runs written out in float64', async () => {
    const list = texts(6, 6);
    const map = maps.affine;
    const figures = (await mapFigures({ ...options(list, { affine: map }), batch: 2, forced: 4 })).affine;
    let kl = 0;
    let agree = 0;
    let positions = 0;
    let ce = 0;
    let predictions = 0;
    for (const { target: ids } of list.slice(0, 4)) {
      const x = await a.model.decoder.run(a.model.decoder.embed([[...ids]]), { to: L + 1 });
      const truth = await logprobs(b.model, ids);
      const patched = await logprobs(b.model, ids, map.apply(x.tensor.data, ids.length));
      for (let t = 1; t < ids.length; t++) {
        const p = truth[t];
        const q = patched[t];
        kl += p.reduce((s, lp, v) => s + Math.exp(lp) * (lp - q[v]), 0);
        agree += p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)) ? 1 : 0;
        positions++;
        if (t + 1 < ids.length) {
          ce += p[ids[t + 1]] - q[ids[t + 1]];
          predictions++;
        }
      }
    }
    const value = (key: keyof typeof figures): number => (figures[key] as { value: number }).value;
    expect(value('kl_div')).toBeCloseTo(kl / positions, 5);
    expect(value('top1_agreement')).toBeCloseTo(agree / positions, 9);
    expect(value('ce_delta')).toBeCloseTo(ce / predictions, 5);
    expect(figures.kl_div).toMatchObject({ n: 4 });
  });

  it('the evaluator of curves gives the same kl_div, and fits take it', async () => {
    const list = texts(6, 6);
    const evaluate = await curveEvaluator({
      source: a.model,
      target: b.model,
      texts: list,
      ends: { source: context.source, target: context.target },
    });
    const figures = (await mapFigures(options(list, { affine: maps.affine }))).affine;
    const got = await evaluate(maps.affine.body);
    expect(got.kl_div).toBeCloseTo((figures.kl_div as { value: number }).value, 6);
    expect(got.top1_agreement).toBeCloseTo((figures.top1_agreement as { value: number }).value, 9);
    const trained = await fitMap({ kind: 'affine-sgd', steps: 30, batch: 128, learning_rate: 0.02 }, data, {
      ...context,
      evaluate,
      curvePoints: 3,
    });
    const column = trained.record.curves!.kl_div as number[];
    expect(column.length).toBe(3);
    expect(column[2]).toBeLessThan(column[0]);
  });

  it('without forced texts those figures are left out; the same seed gives the same intervals', async () => {
    const list = texts(5, 7);
    const once = await mapFigures({ ...options(list, { affine: maps.affine }), forced: 0 });
    expect(Object.keys(once.affine)).not.toContain('kl_div');
    expect(await mapFigures({ ...options(list, { affine: maps.affine }), forced: 0, batch: 2 })).toEqual(
      once,
    );
  });

  it('refuses maps of different blocks, and a token-mean that is none', async () => {
    const list = texts(2, 7);
    const other = await fitMap({ kind: 'mean' }, data, {
      ...context,
      target: { ...context.target, block: 2, hook: hook(2) },
    });
    await expect(mapFigures(options(list, { a: maps.affine, other }))).rejects.toThrow(/one pair of blocks/);
    await expect(mapFigures({ ...options(list, maps), tokenMean: maps.mean })).rejects.toThrow(/token-mean/);
    await expect(mapFigures(options([], maps))).rejects.toThrow(InputError);
  });
});

describe('ratioFigures', () => {
  it('draws texts, not rows: an interval of the right width, ratios of nothing left out', () => {
    const rng = new Rng(1);
    const numerator = Array.from({ length: 400 }, () => rng.normal() + 3);
    const ones = numerator.map(() => 1);
    const { mean, none } = ratioFigures(
      { mean: { numerator, denominator: ones }, none: { numerator, denominator: ones.map(() => 0) } },
      new Rng(2),
      2000,
    );
    const average = numerator.reduce((s, v) => s + v) / 400;
    expect(mean!.value).toBeCloseTo(average, 12);
    // ± 1.96 · s / √n, s ≈ 1.
    expect(mean!.ci95[1] - mean!.ci95[0]).toBeGreaterThan(0.8 * 2 * 1.96 * 0.05);
    expect(mean!.ci95[1] - mean!.ci95[0]).toBeLessThan(1.2 * 2 * 1.96 * 0.05);
    expect(mean!.n).toBe(400);
    expect(none).toBeUndefined();
  });
});

describe('inverse', () => {
  it('maps back from B to A, measured with the models exchanged', async () => {
    const inverses = await inverseMaps(['pinv', 'truncated', 'reverse_ridge'], data, context, { rtol: 0.2 });
    expect(Object.keys(inverses)).toEqual(['pinv', 'truncated', 'reverse_ridge']);
    const list = texts(8, 9);
    const figures = await inverseFigures({
      ...options(swapTexts(list), inverses),
      tokenMean: await sourceTokenMean(data, context),
      forced: 4,
    });
    const fvu = (name: string): number => (figures[name].fvu as { value: number }).value;
    expect(inverses.truncated!.record.settings.rank).toBeLessThan(
      inverses.pinv!.record.settings.rank as number,
    );
    expect(inverses.reverse_ridge!.source.model).toBe('b');
    // Fitted for that direction, it is the best of the three on unseen text.
    expect(fvu('reverse_ridge')).toBeLessThan(fvu('pinv'));
    expect(fvu('reverse_ridge')).toBeLessThan(1);
    expect(figures.reverse_ridge.kl_div).toMatchObject({ n: 4 });
    const aligned = { ...list[0], alignment: { sourceOf: Int32Array.of(0), flags: ['coincide' as const] } };
    expect(() => swapTexts([aligned])).toThrow(/tokenizers exchanged/);
  });
});
