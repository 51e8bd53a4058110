/** @file Steering, its cost and its strength on a bundled model: against documents, and against forward passes with loops over the vocabulary. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng, silent } from '../../base/index.ts';
import { doseSettings, type InterventionInput, vectorSettings } from '../../contracts/index.ts';
import { applyIntervention, writtenHooks } from '../../interventions/index.ts';
import { type FwdHook, LanguageModel } from '../../models/index.ts';
import { experimentEnv } from '../env.ts';
import { type ContrastSet, pairSet } from './contrast.ts';
import { CostMeter, strengthFor } from './cost.ts';
import { doseCurve, recommendedPoint } from './dose.ts';
import { splitContrasts, steeringVectors } from './make.ts';
import { refusalVectors } from './refusal.ts';
import { ablationHooks, pushHooks } from './steer.ts';

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load(
    fileURLToPath(new URL('../../../assets/tiny/tiny-llama-s', import.meta.url)),
  );
});
afterAll(() => model[Symbol.asyncDispose]());

const env = () =>
  experimentEnv('vector', { seed: 3, progress: silent, signal: new AbortController().signal });
const ask = (question: string): string => `### Instruction:\n${question}\n### Response:\n`;
const prompts = ['What is the capital of France?', 'What sound does a dog make?'].map(ask);
const direction = (size: number): Float32Array => {
  const rng = new Rng(8);
  return Float32Array.from({ length: 128 }, () => size * rng.normal());
};
const everywhere = { prompt: 'all', generation: 'all' } as const;
const inline = (v: Float32Array) => ({ from: 'inline', values: Array.from(v) }) as const;

/** Greedy continuations and last logits under hooks. */
async function outcome(fwdHooks: readonly FwdHook[]) {
  const texts = await model.generate(prompts, { maxNewTokens: 8, fwdHooks, stopTokens: [] });
  const { logits } = await model.forward(prompts, fwdHooks);
  return { ids: texts.map(({ ids }) => ids), logits: logits.data };
}

describe('the same edits as the documents of a folder', () => {
  it('a push is `add` at every position but the first', async () => {
    const v = direction(6);
    const edit: InterventionInput = {
      op: 'add',
      hook: 'blocks.2.hook_resid_post',
      tokens: { ...everywhere, exclude_first: true },
      vector: inline(v),
    };
    const { fwdHooks } = await applyIntervention(model, edit, prompts);
    const [byDocument, byPush, plain] = [
      await outcome(fwdHooks),
      await outcome(pushHooks({ block: 2, delta: v })),
      await outcome([]),
    ];
    expect(byPush).toEqual(byDocument);
    expect(byPush.ids).not.toEqual(plain.ids);
  });

  it('an ablation is `project` wherever the residual stream is written, and leaves nothing of the direction', async () => {
    const v = direction(1);
    const edits = writtenHooks(model.nLayers).map(
      (hook): InterventionInput => ({ op: 'project', hook, tokens: everywhere, vector: inline(v) }),
    );
    const { fwdHooks } = await applyIntervention(model, edits, prompts);
    const [byDocument, byHooks] = [await outcome(fwdHooks), await outcome(ablationHooks(v, model.nLayers))];
    expect(byHooks.ids).toEqual(byDocument.ids);
    byHooks.logits.forEach((x, i) => {
      expect(Math.abs(x - byDocument.logits[i])).toBeLessThan(2e-3);
    });
    const along: number[] = [];
    await model.forward(prompts, [
      ...ablationHooks(v, model.nLayers),
      [
        'blocks.4.hook_resid_post',
        (h) => {
          along.push(h.row(0, -1).reduce((sum, x, j) => sum + x * v[j], 0) / Math.hypot(...v));
        },
      ],
    ]);
    expect(Math.abs(along[0])).toBeLessThan(1e-4);
  });
});

describe('cost', () => {
  const ids = prompts.map((prompt) => () => model.toTokens(prompt)[0]);

  it('is the mean KL over the own continuation, by loops over the vocabulary', async () => {
    const given = ids.map((make) => make());
    const push = { block: 1, delta: direction(3) };
    const meter = await CostMeter.open(model, given, { tokens: 6, batch: 4 });
    const found = await meter.measure(push);
    const continued = await model.generate(given, { maxNewTokens: 6 });
    const kls: number[] = [];
    const firsts: number[] = [];
    for (const [i, prompt] of given.entries()) {
      const text = [...prompt, ...continued[i].ids];
      const plain = (await model.forward(text)).logits;
      const steered = (await model.forward(text, pushHooks(push))).logits;
      const v = model.config.vocabSize;
      for (let t = prompt.length - 1; t < Math.max(prompt.length, text.length - 1); t++) {
        const logs = [steered, plain].map(({ data }) => {
          const row = Array.from(data.subarray(t * v, (t + 1) * v));
          const z = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
          return row.map((x) => x - z);
        });
        const kl = logs[0].reduce((sum, lp, k) => sum + Math.exp(lp) * (lp - logs[1][k]), 0);
        if (t === prompt.length - 1) firsts.push(kl);
        kls.push(kl);
      }
    }
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    expect(found.per_token).toBeGreaterThan(0.01);
    expect(found.per_token).toBeCloseTo(mean(kls), 4);
    expect(found.next_token).toBeCloseTo(mean(firsts), 4);
    // Another block after it, then the first again: what is kept between them is not mixed up.
    await meter.measure({ block: 3, delta: push.delta });
    expect(await meter.measure(push)).toEqual(found);
    expect(await meter.measure({ block: 1, delta: new Float32Array(128) })).toEqual({
      next_token: 0,
      per_token: 0,
    });
  });

  it.each([
    ['a square', (a: number) => 0.3 * a * a, 0.2],
    ['a line far from 1', (a: number) => 1e-3 * a, 0.5],
    ['a steep one', (a: number) => 40 * a ** 3, 0.05],
    ['one that saturates', (a: number) => 2 * (1 - Math.exp(-a)), 1.5],
  ])('the strength for a budget: %s', async (_, cost, budget) => {
    const found = await strengthFor(budget, async (alpha) => cost(alpha));
    expect(Math.abs(cost(found.alpha) - budget)).toBeLessThanOrEqual(0.02 * budget);
    expect(found.cost).toBe(cost(found.alpha));
    const elsewhere = await strengthFor(budget, async (alpha) => cost(alpha), { start: 30 });
    expect(Math.abs(elsewhere.cost - budget)).toBeLessThanOrEqual(0.02 * budget);
  });

  it('a budget that no strength reaches gives the nearest one, and the largest allowed is not exceeded', async () => {
    const found = await strengthFor(5, async (alpha) => Math.min(alpha, 2));
    expect(found.cost).toBe(2);
    for (const largest of [0.5, 3]) {
      const tried: number[] = [];
      const bounded = await strengthFor(
        100,
        async (alpha) => {
          tried.push(alpha);
          return alpha;
        },
        { largest },
      );
      expect(bounded).toEqual({ alpha: largest, cost: largest });
      expect(Math.max(...tried)).toBe(largest);
    }
  });
});

/** Capitals (positive) against sounds (negative): the answers begin with different tokens. */
function capitalsAgainstSounds(): ContrastSet {
  const countries =
    'France Germany Italy Spain Poland Sweden Norway Japan China Egypt Kenya Peru Chile Cuba'.split(' ');
  const animals = 'dog cat cow sheep duck lion pig horse bee frog crow owl snake wolf'.split(' ');
  const rows = countries.map((country, i) => ({
    id: country,
    positive: `What is the capital of ${country}?`,
    negative: `What sound does a ${animals[i]} make?`,
  }));
  return pairSet(model.tokenizer, rows, { template: 'instruction', position: 'last' });
}

describe('dose curve', () => {
  it('has a random direction of equal norm beside every strength, no steering, equal budgets, and a point within the bound', async () => {
    const split = splitContrasts(capitalsAgainstSounds(), 0.4, new Rng(1));
    const made = await steeringVectors(
      model,
      split,
      { ...vectorSettings.parse({}), method: 'mean-difference', blocks: [1, 3, 5] },
      env(),
    );
    const settings = doseSettings.parse({
      alphas: [0.5, 1],
      blocks: 2,
      budgets: [0.1],
      max_tokens: 4,
      continuation: 8,
    });
    const { report, recommended } = await doseCurve(
      model,
      { ...made, held: split.held, marks: { pattern: '[A-Z]' } },
      settings,
      env(),
    );
    const of = (arm: string) => report.points.filter((p) => p.arm === arm);
    expect([of('none').length, of('vector').length, of('random').length]).toEqual([1, 5, 5]);
    expect(of('none')[0].cost).toEqual({ next_token: 0, per_token: 0 });
    expect(of('none')[0].effect).toMatchObject({ share: { value: 0, n: 6 }, changed: { value: 0 } });
    for (const [i, point] of of('vector').entries())
      if (point.budget === undefined) expect(of('random')[i].relative_dose).toBe(point.relative_dose);
    for (const point of report.points.filter((p) => p.budget !== undefined))
      expect(Math.abs(point.cost.per_token - 0.1)).toBeLessThanOrEqual(0.002);
    const point = of('vector').find((p) => p.block === recommended.block && p.alpha === recommended.alpha);
    expect(point?.cost.per_token).toBeLessThanOrEqual(report.bound);
    expect(recommended.reason).toMatch(/^(the strongest effect|no strength) for at most 0.2 nats per token/);
  });

  it('sets a sentence that asks for the same beside the vectors, at the cost that plain forward passes give it', async () => {
    const split = splitContrasts(capitalsAgainstSounds(), 0.4, new Rng(1));
    const options = { ...vectorSettings.parse({}), method: 'mean-difference', blocks: [3] } as const;
    const made = await steeringVectors(model, split, options, env());
    const settings = doseSettings.parse({
      alphas: [1],
      blocks: 1,
      neutral: 2,
      max_tokens: 6,
      continuation: 3,
    });
    // The bundled models end their answer with a mark under this tag.
    const within = ({ text }: { readonly text: string }): number[] =>
      model.tokenizer.encodeIds(text.replace('\n### Response', ' |loud|\n### Response'));
    const asked = async (ask: (prompt: { text: string; ids: readonly number[] }) => readonly number[]) => {
      const inputs = {
        ...made,
        held: split.held,
        marks: { phrase: '!' },
        ask: { text: 'louder', within: ask },
      };
      const { report } = await doseCurve(model, inputs, settings, env());
      return report.points.filter(({ arm }) => arm === 'asked');
    };
    const [nothing] = await asked(({ ids }) => ids);
    expect(nothing?.effect.changed.value).toBe(0);
    expect(nothing?.cost.per_token).toBeCloseTo(0, 6);
    const [found, ...more] = await asked(within);
    expect(more).toEqual([]);
    expect(found?.effect.share?.value).toBeGreaterThan(0.5);
    let sum = 0;
    let positions = 0;
    for (const prompt of split.held.negative.slice(0, 2)) {
      const answer = (await model.generate([...prompt.ids], { maxNewTokens: 3 })).ids;
      const steps = Math.max(1, answer.length);
      const rows = async (ids: readonly number[]): Promise<number[][]> => {
        const { logits } = await model.forward([...ids, ...answer]);
        const v = logits.shape[2];
        return Array.from({ length: steps }, (_, k) => {
          const row = Array.from(logits.data.subarray((ids.length - 1 + k) * v, (ids.length + k) * v));
          const total = Math.log(row.reduce((s, l) => s + Math.exp(l), 0));
          return row.map((l) => l - total);
        });
      };
      const [p, q] = [await rows(within(prompt)), await rows(prompt.ids)];
      for (let k = 0; k < steps; k++) {
        sum += (p[k] as number[]).reduce(
          (s, l, v) => s + Math.exp(l) * (l - ((q[k] as number[])[v] as number)),
          0,
        );
        positions++;
      }
    }
    expect(found?.cost.per_token).toBeCloseTo(sum / positions, 3);
  });

  it('takes the cheapest of the strongest points within the bound', () => {
    const point = (alpha: number, share: number, cost: number) => ({
      arm: 'vector' as const,
      block: 2,
      alpha,
      relative_dose: 0,
      effect: {
        share: { value: share, n: 10, ci95: [0, 1] as [number, number] },
        changed: { value: 0, n: 10, ci95: [0, 1] as [number, number] },
        shift: null,
      },
      cost: { next_token: 0, per_token: cost },
    });
    const none = { ...point(0, 0, 0), arm: 'none' as const };
    const report = (bound: number) => ({
      effect: 'share' as const,
      prompts: 10,
      neutral_prompts: 4,
      bound,
      points: [none, point(1, 0.4, 0.05), point(2, 0.9, 0.1), point(3, 0.9, 0.15), point(4, 1, 0.5)],
    });
    expect(recommendedPoint(report(0.2))).toMatchObject({
      alpha: 2,
      reason: expect.stringMatching(/90 % of completions show it \(0 % unsteered/),
    });
    expect(recommendedPoint(report(1)).alpha).toBe(4);
    expect(recommendedPoint(report(0.01))).toMatchObject({
      alpha: 1,
      reason: expect.stringMatching(/no strength costs 0.01/),
    });
    expect(recommendedPoint({ ...report(1), points: [none, point(1, 0, 0.1)] }).reason).toMatch(
      /has an effect/,
    );
  });
});

describe('refusal direction', () => {
  it('is the allowed candidate whose removal lowers the log-odds most; figures by forward passes', async () => {
    const split = splitContrasts(capitalsAgainstSounds(), 0.4, new Rng(1));
    const capitals = [
      'Paris',
      'Berlin',
      'Rome',
      'Madrid',
      'Warsaw',
      'Stockholm',
      'Oslo',
      'Tokyo',
      'Beijing',
      'Cairo',
      'Nairobi',
      'Lima',
      'Santiago',
      'Havana',
    ];
    const tokens = capitals.map((name) => model.tokenizer.encodeIds(name, { addSpecialTokens: false })[0]);
    const settings = { ...vectorSettings.parse({ kl_bound: 5 }), tokens };
    const { refusal, recommended, vectors, blocks } = await refusalVectors(model, split, settings, env());
    const allowed = refusal.candidates.filter((c) => c.allowed);
    const best = allowed.toSorted((a, b) => a.ablated - b.ablated)[0];
    expect(refusal.candidates).toHaveLength(12);
    expect([recommended.block, refusal.position]).toEqual([best.block, best.position]);
    expect(best.block).toBeLessThan(0.8 * model.nLayers);
    for (const c of refusal.candidates)
      expect(c.allowed).toBe(c.kl <= 5 && c.added > refusal.baseline.negative);
    const odds = async (fwdHooks: readonly FwdHook[]): Promise<number> => {
      let sum = 0;
      for (const { ids } of split.held.positive) {
        const { data, shape } = (await model.forward(ids, fwdHooks)).logits;
        const row = Array.from(data.subarray((shape[1] - 1) * shape[2], shape[1] * shape[2]));
        const z = row.reduce((total, x) => total + Math.exp(x), 0);
        const p = tokens.reduce((total, v) => total + Math.exp(row[v]) / z, 0);
        sum += Math.log((p + 1e-8) / (1 - p + 1e-8)) / split.held.positive.length;
      }
      return sum;
    };
    expect(refusal.baseline.positive).toBeCloseTo(await odds([]), 2);
    const v = vectors.get(best.block)!;
    expect(best.ablated).toBeCloseTo(await odds(ablationHooks(v, model.nLayers)), 2);
    expect(best.ablated).toBeLessThan(refusal.baseline.positive);
    expect(blocks).toHaveLength(6);
  });

  it('finds the telling tokens by itself, and says when no candidate is within the bound', async () => {
    const split = splitContrasts(capitalsAgainstSounds(), 0.4, new Rng(1));
    const settings = vectorSettings.parse({ kl_bound: 0, candidates: 2 });
    await expect(refusalVectors(model, split, settings, env())).rejects.toThrow(
      /none of 2 directions can be removed within 0 nats/,
    );
    const loose = await refusalVectors(model, split, { ...settings, kl_bound: 50 }, env());
    expect(loose.refusal.tokens.length).toBeGreaterThan(0);
    expect(loose.refusal.baseline.positive).toBeGreaterThan(loose.refusal.baseline.negative);
  });
});
