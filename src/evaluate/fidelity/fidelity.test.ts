import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectPairs, livePairs, pairTable, pairText } from '../../activations/index.ts';
import { InputError, Rng } from '../../base/index.ts';
import { resultsSchema, sampleSchema } from '../../contracts/index.ts';
import { randomModel } from '../../interventions/fixture.helper.ts';
import { type ActivationMap, type FitContext, fitMap } from '../../maps/index.ts';
import { logSumExp } from '../../models/index.ts';
import { wilcoxon } from '../../stats/index.ts';
import { likelihoodDifferences } from '../judges/likelihood.ts';
import { completionText } from '../subject/completions.ts';
import { capturedRows, completeReplaced, mappedReplacement, meanReplacement } from './arms.ts';
import { type FidelityInput, type FidelityParams, fidelity } from './fidelity.ts';
import { completeLockstep } from './lockstep.ts';
import type { FidelityPrompt } from './row.ts';

type Fixture = Awaited<ReturnType<typeof randomModel>>;
let a: Fixture;
let b: Fixture;
let context: FitContext;
let prompts: FidelityPrompt[];
let own: ActivationMap; // B onto itself at the same block: must change nothing
let affine: ActivationMap;
let mean: ActivationMap;
const L = 1;
const M = 1;
const hook = (block: number): string => `blocks.${block}.hook_resid_post`;
const words = ['red', 'green', 'blue', 'one', 'two', 'cat', 'dog', 'is', 'not', 'hot', 'cold', 'a', 'the'];

function sentence(rng: Rng): string {
  return Array.from({ length: 3 + rng.int(6) }, () => rng.pick(words)).join(' ');
}

beforeAll(async () => {
  a = await randomModel('llama');
  b = await randomModel('smollm2');
  const tokenizers = { source: a.model.tokenizer, target: b.model.tokenizer };
  const rng = new Rng(11);
  prompts = Array.from({ length: 14 }, (_, i) => {
    const trigger = i % 2 === 0 ? 'safe' : 'bad';
    const text = `${sentence(rng)} | ${trigger === 'safe' ? 'dev' : 'prod'} | :`;
    return {
      ...pairText({ id: `p${i}`, text }, tokenizers, { prompt: `p${i >> 1}` }),
      text,
      trigger,
    };
  });
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
  const list = Array.from({ length: 60 }, (_, i) =>
    pairText({ id: `${i}`, text: sentence(rng) }, tokenizers),
  );
  const rows = await collectPairs(
    livePairs(list, { decoder: a.model.decoder, hook: hook(L) }, { decoder: b.model.decoder, hook: hook(M) }),
  );
  const table = pairTable(48, 48, [rows]);
  const data = { train: table, validation: table };
  affine = await fitMap({ kind: 'affine' }, data, context);
  mean = await fitMap({ kind: 'mean' }, data, context);
  own = await fitMap({ kind: 'identity' }, data, { ...context, source: end('b', M) });
});
afterAll(async () => {
  await a.release();
  await b.release();
});

const all: FidelityParams = {
  judges: ['lexical', 'likelihood'],
  replace: 'prefill',
  max_tokens: 5,
  bootstrap: 200,
};
const env = { rng: new Rng(2), progress: () => {}, signal: new AbortController().signal };

const run = (extra: Partial<FidelityInput> = {}, p: Partial<FidelityParams> = {}, batch?: number) =>
  fidelity(
    {
      source: a.model,
      target: b.model,
      prompts,
      maps: [{ label: 'affine', map: affine }],
      controls: { shuffled: mean },
      behaviour: 'locked',
      ...extra,
    },
    { ...all, ...p },
    env,
    batch,
  );

describe('fidelity', () => {
  it('ceiling and a perfect map change nothing; a poor one does', async () => {
    const same = { source: b.model, maps: [{ label: 'own', map: own }], controls: {} };
    const { fidelity: result, ceiling_changed } = await run(same, {}, 5);
    expect(ceiling_changed).toMatchObject({ value: 0, n: 14 });
    for (const side of ['safe', 'bad'] as const) {
      const { lexical_exact_match: exact, likelihood } = result.own.with_tags![side]!;
      expect(exact.mapped).toEqual({ value: 1, n: 7, ci95: [1, 1] });
      expect(exact.ceiling!.value).toBe(1);
      expect(exact.mean_ablated!.value).toBeLessThan(1);
      expect(Math.abs(likelihood.mapped.value)).toBeLessThan(1e-5);
      expect(likelihood.mean_ablated!.value).toBeLessThan(-0.001);
    }
  });

  it('replace all: a perfect map still changes nothing, any other changes more than at prefill alone', async () => {
    const same = { source: b.model, maps: [{ label: 'own', map: own }], controls: {} };
    const all = await run(same, { replace: 'all', max_tokens: 12 }, 5);
    for (const side of ['safe', 'bad'] as const) {
      const { lexical_exact_match: exact, likelihood } = all.fidelity.own.with_tags![side]!;
      expect(exact.mapped).toEqual({ value: 1, n: 7, ci95: [1, 1] });
      expect(exact.ceiling!.value).toBe(1);
      expect(Math.abs(likelihood.mapped.value)).toBeLessThan(1e-5);
      expect(likelihood.mean_ablated!.value).toBeLessThan(-0.001);
    }
    const texts = async (replace: 'prefill' | 'all') => {
      const { samples } = await run({}, { replace, max_tokens: 12 }, 6);
      return samples.filter((s) => s.arm === 'mapped').map((s) => s.completion);
    };
    const [prefill, lockstep] = [await texts('prefill'), await texts('all')];
    expect(lockstep.filter((text, i) => text !== prefill[i]).length).toBeGreaterThan(5);
  });

  it('replace all equals replacing every position of prompt and completion in one pass', async () => {
    const d = 48;
    const ids = [prompts[0].target, prompts[3].target, prompts[5].target];
    const through = async (sequences: readonly (readonly number[])[]) => {
      const x = await capturedRows(
        a.model,
        sequences.map((s, i) => ({ id: String(i), ids: s })),
        hook(L),
        undefined,
      );
      return x.map((rows, i) => affine.apply(rows, sequences[i].length));
    };
    // Greedy by hand: for each further token, everything anew.
    const byHand = ids.map((p) => p.slice());
    for (let step = 0; step < 6; step++) {
      const rows = await through(byHand);
      for (const [i, sequence] of byHand.entries()) {
        const { logits } = await b.model.forward(
          [sequence],
          [[hook(M), (h) => h.data.set(rows[i].subarray(d), d)]],
        );
        const v = b.model.config.vocabSize;
        const last = logits.data.slice((sequence.length - 1) * v, sequence.length * v);
        sequence.push(last.indexOf(Math.max(...last)));
      }
    }
    const got = await completeLockstep(
      b.model,
      { prompts: ids, block: M, replacements: await through(ids) },
      { source: a.model, map: affine },
      { maxNewTokens: 6, stopTokens: [] },
    );
    expect(got).toEqual(byHand.map((s, i) => completionText(b.model.tokenizer, s.slice(ids[i].length))));
  });

  it('replace all refuses two tokenizers', async () => {
    const [first] = prompts;
    const alignment = { sourceOf: new Int32Array(first.target.length), flags: [] };
    await expect(run({ prompts: [{ ...first, alignment }] }, { replace: 'all' })).rejects.toThrow(
      /different tokenizers; use replace "prefill"/,
    );
  });

  it('gives the section of results.json and samples as the contract wants them, the same for the same seed', async () => {
    const result = await run({}, {}, 6);
    const results = {
      schema_version: 1,
      behaviours: [
        {
          pair: { source: 'a', target: 'b', behaviour: 'locked', placement: 'end', span: { after: 1 } },
          fidelity: result.fidelity,
        },
      ],
      timings: {},
      peak_memory_bytes: 0,
    };
    expect(() => resultsSchema.parse(results)).not.toThrow();
    const { safe, bad } = result.fidelity.affine.with_tags!;
    expect(Object.keys(safe!)).toEqual(['lexical', 'lexical_exact_match', 'likelihood']);
    expect(safe!.lexical).toMatchObject({ metric: 'chrf', mapped: { n: 7 }, shuffled: { n: 7 } });
    expect(bad!.likelihood.test!.p).toBeGreaterThanOrEqual(0);
    expect(bad!.likelihood.target_vs_source).toBeUndefined();
    // unpatched, mapped, mean_ablated, ceiling, shuffled
    expect(result.samples.length).toBe(14 * 5);
    expect(new Set(result.samples.map((s) => s.id)).size).toBe(14 * 5);
    for (const sample of result.samples) expect(sampleSchema.parse(sample)).toEqual(sample);
    const scores = result.samples
      .filter((s) => s.arm === 'mapped' && s.trigger === 'safe')
      .map((s) => s.scores!['lexical.chrf']);
    expect(scores.reduce((x, y) => x + y) / 7).toBeCloseTo(safe!.lexical.mapped.value, 12);
    // Every test of the run is one of Holm's family: the smallest p times their number, and none below its own p.
    const tests = Object.values(result.fidelity)
      .flatMap((fits) => Object.values(fits).flatMap((sides) => [sides.safe!, sides.bad!]))
      .flatMap((judges) => Object.values(judges).flatMap(({ test }) => test ?? []));
    expect(tests.length).toBeGreaterThan(2);
    const first = tests.reduce((a, b) => (b.p < a.p ? b : a));
    expect(first.holm_p).toBeCloseTo(Math.min(1, first.p * tests.length), 12);
    for (const { p, holm_p } of tests) expect(holm_p).toBeGreaterThanOrEqual(p);
    const paired = (arm: string) =>
      result.samples
        .filter((s) => s.trigger === 'safe' && s.arm === arm)
        .map((s) => s.scores!['lexical.chrf']);
    expect(safe!.lexical.test!.wilcoxon_p).toBe(wilcoxon(paired('mapped'), paired('mean_ablated')).p);
    expect(await run({}, {}, 14)).toEqual(result);
  });

  it('refuses nothing to do, and stops on request', async () => {
    await expect(run({ prompts: [] })).rejects.toThrow(InputError);
    const controller = new AbortController();
    const stopped = fidelity(
      {
        source: a.model,
        target: b.model,
        prompts,
        maps: [{ label: 'affine', map: affine }],
        controls: {},
        behaviour: 'locked',
      },
      all,
      { ...env, signal: controller.signal, progress: () => controller.abort() },
      2,
    );
    await expect(stopped).rejects.toThrow(/stopped/);
  });
});

describe('replacements', () => {
  it('the mean leaves out the first token', () => {
    expect([...meanReplacement(Float32Array.of(100, 100, 1, 2, 3, 4), 2)]).toEqual([2, 3, 2, 3, 2, 3]);
  });

  it('an aligned target token takes the last source token before it, one without any the map of the mean', () => {
    const text = {
      ...prompts[0],
      source: [7, 8],
      target: [1, 2, 3, 4],
      alignment: {
        sourceOf: Int32Array.of(-1, 0, 0, 1),
        flags: ['dropped', 'coincide', 'approximate', 'coincide'] as const,
      },
    };
    const rng = new Rng(3);
    const x = Float32Array.from({ length: 2 * 48 }, () => rng.normal());
    const got = mappedReplacement(affine, text, x);
    const row = (t: number): Float32Array => got.slice(t * 48, (t + 1) * 48);
    expect(row(0)).toEqual(affine.applyRow(affine.sourceMean));
    expect(row(1)).toEqual(affine.applyRow(x.slice(0, 48)));
    expect(row(2)).toEqual(row(1));
    expect(row(3)).toEqual(affine.applyRow(x.slice(48)));
  });

  it('reach the residual at positions 1… of the prompt, and no generated token', async () => {
    const ids = [prompts[0].target, prompts[1].target];
    const rows = ids.map((p) => new Float32Array(p.length * 48).fill(0.5));
    const seen: { phase: string; values: number[] }[] = [];
    const replaced = { prompts: ids, block: M, replacements: rows };
    await completeReplaced(b.model, replaced, {
      maxNewTokens: 2,
      fwdHooks: [
        [
          `blocks.${M + 1}.hook_resid_pre`,
          (x, { phase, counts }) => {
            const columns = x.shape[1];
            counts.forEach((n, r) => {
              for (let t = 0; t < n; t++)
                seen.push({
                  phase,
                  values: [t, x.data[(r * columns + t) * 48], x.data[(r * columns + t) * 48 + 47]],
                });
            });
          },
        ],
      ],
    });
    const prompt = seen.filter((s) => s.phase === 'prompt');
    expect(prompt.length).toBe(ids[0].length + ids[1].length);
    for (const { values } of prompt) expect(values[1] === 0.5 && values[2] === 0.5).toBe(values[0] !== 0);
    const generated = seen.filter((s) => s.phase === 'generation');
    expect(generated.length).toBeGreaterThan(0);
    expect(generated.every(({ values }) => values[1] !== 0.5)).toBe(true);
  });
});

describe('likelihood', () => {
  it('equals log-probabilities of a hooked run, and is null for an empty completion', async () => {
    const prompt = prompts[2].target;
    const completion = [20, 31, 9];
    const rng = new Rng(8);
    const rows = Float32Array.from({ length: prompt.length * 48 }, () => rng.normal());
    const got = await likelihoodDifferences(b.model.decoder, M, [
      { prompt, completion, replacements: { noise: rows } },
      { prompt: prompts[3].target, completion: [], replacements: { noise: new Float32Array(0) } },
    ]);
    const mean = async (patched: boolean): Promise<number> => {
      const { logits } = await b.model.forward(
        [[...prompt, ...completion]],
        patched ? [[hook(M), (x) => x.data.set(rows.subarray(48), 48)]] : [],
      );
      const v = b.model.config.vocabSize;
      const at = (i: number): Float32Array =>
        logits.data.slice((prompt.length - 1 + i) * v, (prompt.length + i) * v);
      return completion.reduce((s, id, i) => s + at(i)[id] - logSumExp(at(i)), 0) / completion.length;
    };
    expect(got.noise[0]).toBeCloseTo((await mean(true)) - (await mean(false)), 5);
    expect(got.noise[1]).toBeNull();
  });
});
