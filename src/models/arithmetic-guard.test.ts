/** @file Fast arithmetic is opened where it agrees with exact, and refused on a model with massive activations, which it would spoil silently. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { arithmeticGuardSettings } from '../contracts/index.ts';
import type { ArithmeticGuard } from './arithmetic-guard.ts';
import { LanguageModel, type LoadOptions } from './language-model.ts';
import { massive, quantisedVariant } from './quantised.helper.ts';

type Quantised = Awaited<ReturnType<typeof quantisedVariant>>;

const PROMPTS = [
  'China: what is its capital?',
  'Which day comes after Saturday?',
  'Name three colours.',
  'Hello. In which country is the city Sofia?',
  'What is 3 plus 4?',
];
let cacheDir: string;
let plain: Quantised;
let spoilt: Quantised;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'crosspatch-arithmetic-'));
  plain = await quantisedVariant();
  spoilt = await quantisedVariant(massive);
}, 60_000);
afterAll(async () => {
  await plain[Symbol.asyncDispose]();
  await spoilt[Symbol.asyncDispose]();
  await rm(cacheDir, { recursive: true });
});

const load = (
  path: string,
  guard: ArithmeticGuard | undefined = { prompts: PROMPTS },
  more: LoadOptions = {},
): Promise<LanguageModel> =>
  LanguageModel.load(path, {
    threads: 1,
    cacheDir,
    weights: 'packed',
    arithmetic: 'fast',
    guard,
    ...more,
  });

describe('fast arithmetic', () => {
  test('is given with the figures of the comparison, and computes something else', async () => {
    await using fast = await load(plain.file);
    await using exact = await load(plain.file, undefined, { arithmetic: 'exact' });
    expect([fast.arithmetic, exact.arithmetic, exact.guarded]).toEqual(['fast', 'exact', undefined]);
    expect(fast.guarded).toMatchObject({ prompts: 5, positions: expect.any(Number) });
    const { same_best, logit_difference, positions } = fast.guarded!;
    expect(positions).toBeGreaterThanOrEqual(45);
    expect(same_best).toBeGreaterThanOrEqual(0.95);
    // what is reported is what the two models differ by
    expect(logit_difference).toBeGreaterThan(1e-3);
    expect(logit_difference).toBeLessThan(0.05);
    const [a, b] = [await exact.forward(PROMPTS[0]!), await fast.forward(PROMPTS[0]!)];
    const apart = a.logits.data.reduce((most, v, i) => Math.max(most, Math.abs(v - b.logits.data[i]!)), 0);
    const largest = a.logits.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    expect(apart / largest).toBeGreaterThan(1e-3);
    expect(apart / largest).toBeLessThan(2 * logit_difference);
  }, 60_000);

  test('is refused on a model with massive activations, whose exact arithmetic is right', async () => {
    await using before = await load(plain.file, undefined, { arithmetic: 'exact' });
    await using exact = await load(spoilt.file, undefined, { arithmetic: 'exact' });
    const wanted = await before.generate(PROMPTS[0]!, { maxNewTokens: 8 });
    expect((await exact.generate(PROMPTS[0]!, { maxNewTokens: 8 })).text).toBe(wanted.text);
    await expect(load(spoilt.file)).rejects.toMatchObject({
      id: 'arithmetic-differs',
      exitCode: 2,
      message: expect.stringMatching(
        /model\.gguf: fast arithmetic: wanted the best token of exact arithmetic at ≥ 90\.0 % of positions and logits within 30\.0 % of the largest, got \d\S* % and \d\S* % at \d+ positions of 5 prompts; take exact arithmetic/,
      ),
    });
    // without the guard it would run, and say other things
    const none: ArithmeticGuard = { prompts: PROMPTS, settings: { same_best: 0, logit_difference: 1e9 } };
    await using fast = await load(spoilt.file, none);
    expect(fast.guarded!.same_best).toBeLessThan(0.5);
    expect((await fast.generate(PROMPTS[0]!, { maxNewTokens: 8 })).text).not.toBe(wanted.text);
  }, 60_000);

  test('a threshold that is missed by a little refuses as well', async () => {
    const strict: ArithmeticGuard = { prompts: PROMPTS, settings: { logit_difference: 1e-4 } };
    await expect(load(plain.file, strict)).rejects.toThrow('logits within 0.0100 % of the largest');
  }, 60_000);

  test('compares no more than is asked for; few tokens go on by the greedy completion', async () => {
    const many: ArithmeticGuard = {
      prompts: Array.from({ length: 40 }, (_, i) => PROMPTS[i % 5]!),
      settings: { prompts: 4, positions: 20 },
    };
    await using bounded = await load(plain.file, many);
    expect(bounded.guarded).toMatchObject({ prompts: 4, positions: 20 });
    const short = (tokens: number): ArithmeticGuard => ({
      prompts: ({ tokenizer }) => [tokenizer.encodeIds('Hello')],
      settings: { least: tokens },
    });
    await using one = await load(plain.file, short(1));
    await using longer = await load(plain.file, short(9));
    expect(longer.guarded!.positions).toBeGreaterThan(one.guarded!.positions);
    expect(longer.guarded!.positions).toBeLessThanOrEqual(9);
  }, 60_000);

  test.each([
    ['weights in float32', { weights: 'f32' }, 'wanted packed weights, got weights in f32'],
    ['another provider', { provider: 'webgpu' }, 'wanted the provider cpu, got webgpu'],
    ['no guard', { guard: undefined }, 'wanted prompts to compare it with exact arithmetic on, got none'],
    [
      'no prompt',
      { guard: { prompts: [] } },
      'wanted prompts to compare it with exact arithmetic on, got none',
    ],
  ] satisfies [string, LoadOptions, string][])('is refused with %s', async (_, more, message) => {
    await expect(load(plain.file, undefined, more)).rejects.toThrow(`fast arithmetic: ${message}`);
  });

  test('is refused for a model of floats', async () => {
    await expect(load('tiny-llama-s')).rejects.toThrow(
      'tiny-llama-s: fast arithmetic: wanted a quantised GGUF, got a model whose matrices are floats; take exact arithmetic',
    );
  });

  test('the defaults are those of the schema', () => {
    expect(arithmeticGuardSettings.parse({})).toEqual({
      prompts: 16,
      least: 64,
      positions: 256,
      same_best: 0.9,
      logit_difference: 0.3,
    });
  });
});
