/**
 * @file What a person does with a model: hooks, caches, generation, on random-weight families. Where two ways of computing the
 * same numbers may add them up in another order, the tolerance is 2e-5 (float32, values of order 1); else they must be equal bits.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AbortedError, InputError, type Owned, Rng } from '../base/index.ts';
import type { Tensor } from '../engine/index.ts';
import type { GenerateOptions } from './completions.ts';
import { KvCache } from './decoder/cache.ts';
import { type FwdHook, HookTable, hookName, hookNames, parseHookName, reading } from './hooks.ts';
import { randomModel } from './language-model.helper.ts';
import type { LanguageModel, ModelInput } from './language-model.ts';

const CLOSE = 2e-5;
const families = ['llama', 'mistral', 'gemma3_text'] as const;

/** Token ids a row, of these lengths, from the words of the vocabulary. */
function prompts(lengths: readonly number[], seed = 1): number[][] {
  const rng = new Rng(seed);
  return lengths.map((n) => [1, ...Array.from({ length: n - 1 }, () => 4 + rng.int(90))]);
}

/** Largest difference over real columns; shapes [B,T,·]. */
function worst(a: Tensor<'f32'>, b: Tensor<'f32'>, counts: readonly number[]): number {
  const [, t, d] = a.shape as [number, number, number];
  expect(b.shape).toEqual(a.shape);
  let most = 0;
  counts.forEach((n, row) => {
    for (let i = row * t * d; i < (row * t + n) * d; i++)
      most = Math.max(most, Math.abs(a.data[i] - b.data[i]));
  });
  return most;
}

/** Row b of [B,T,·], its real columns. */
function rowOf({ data, shape }: Tensor<'f32'>, b: number, count: number): Float32Array {
  const [, t, d] = shape as [number, number, number];
  return data.slice(b * t * d, (b * t + count) * d);
}

describe('hook names', () => {
  test('come in the order in which they fire', async () => {
    await using it = await randomModel('gemma3_text');
    const fired: string[] = [];
    const hooks = it.model.hookNames.map((name): FwdHook => [name, (_, c) => void fired.push(c.name)]);
    await it.model.forward('w5 w6', hooks);
    expect(fired).toEqual(hookNames(4));
    expect(fired).toHaveLength(2 + 4 * 7);
  });

  test.each([
    ['blocks.1.hook_resid_post', ['blocks.1.hook_out', 'resid_post.1', 'layers_output[1]', 'model.layers.1']],
    ['blocks.1.hook_resid_pre', ['blocks.1.hook_in', 'resid_pre.1', 'layers_input[1]']],
    ['blocks.1.hook_resid_mid', ['blocks.1.ln2.hook_in', 'resid_mid.1']],
    ['blocks.1.hook_attn_out', ['attn_out_post.1']],
    ['blocks.1.attn.hook_out', ['attn_out.1', 'attentions_output[1]', 'model.layers.1.self_attn']],
    ['blocks.1.hook_mlp_out', ['mlp_out_post.1']],
    ['blocks.1.mlp.hook_out', ['mlp_out.1', 'mlps_output[1]', 'model.layers.1.mlp']],
    ['hook_embed', ['embed.hook_out', 'embeddings', 'token_embeddings']],
    ['ln_final.hook_normalized', ['final_norm']],
  ])('%s has its aliases', (name, aliases) => {
    for (const alias of [name, ...aliases]) expect(hookName(parseHookName(alias, 3))).toBe(name);
  });

  test.each([
    ['blocks.3.hook_resid_post', 'hook blocks.3.hook_resid_post: the model has blocks 0…2'],
    ['blocks.0.hook_resid_pots', 'hook "blocks.0.hook_resid_pots" is not known; use for example hook_embed'],
  ])('%s is refused', (name, message) => {
    expect(() => parseHookName(name, 3)).toThrow(InputError);
    expect(() => parseHookName(name, 3)).toThrow(message);
  });
});

describe.each(families)('%s', (family) => {
  let it: { model: LanguageModel } & Owned;
  let model: LanguageModel;
  beforeAll(async () => {
    it = await randomModel(family);
    model = it.model;
  });
  afterAll(() => it[Symbol.asyncDispose]());

  test('runWithCache: every activation, and they add up', async () => {
    const { cache, counts, logits } = await model.runWithCache(prompts([4, 9]), { namesFilter: () => true });
    expect(cache.names).toEqual(model.hookNames);
    const at = (name: string): Tensor<'f32'> => cache.get(name) as Tensor<'f32'>;
    const sum = (a: Tensor<'f32'>, b: Tensor<'f32'>): Tensor<'f32'> => ({
      ...a,
      data: a.data.map((v, i) => v + b.data[i]),
    });
    for (let i = 0; i < model.nLayers; i++) {
      const name = (site: string): string => `blocks.${i}.${site}`;
      expect(at(name('hook_resid_pre')).shape).toEqual([2, 9, model.config.dModel]);
      const mid = sum(at(name('hook_resid_pre')), at(name('hook_attn_out')));
      expect(worst(mid, at(name('hook_resid_mid')), counts)).toBe(0);
      const post = sum(at(name('hook_resid_mid')), at(name('hook_mlp_out')));
      expect(worst(post, at(name('hook_resid_post')), counts)).toBe(0);
      const next = i + 1 < model.nLayers ? at(`blocks.${i + 1}.hook_resid_pre`) : undefined;
      if (next !== undefined) expect(worst(next, at(name('hook_resid_post')), counts)).toBe(0);
      // sandwich norms stand between what attention gives and what is added
      const isSame = worst(at(name('attn.hook_out')), at(name('hook_attn_out')), counts) === 0;
      expect(isSame).toBe(!model.config.sandwichNorms);
    }
    const rows = at('ln_final.hook_normalized');
    for (let i = 0; i < 4; i++) {
      const square = rows.data.slice(i * 48, (i + 1) * 48).reduce((s, v) => s + v * v, 0) / 48;
      expect(square).toBeCloseTo(1, 3); // normed, and without the gain
    }
    expect(logits.shape).toEqual([2, 9, model.config.vocabSize]);
  });

  test('hooks inside a block, which run it in pieces, change nothing', async () => {
    await using fresh = await randomModel(family);
    const ids = prompts([4, 9]);
    const fused = await fresh.model.runWithCache(ids);
    const names = fresh.model.hookNames;
    const pieces = await fresh.model.runWithCache(ids, { namesFilter: names });
    const after = await fresh.model.runWithCache(ids);
    for (const [name, want] of fused.cache) {
      expect(worst(pieces.cache.get(name) as Tensor<'f32'>, want, fused.counts)).toBeLessThan(CLOSE);
      expect(worst(after.cache.get(name) as Tensor<'f32'>, want, fused.counts)).toBeLessThan(CLOSE);
    }
    expect(worst(pieces.logits, fused.logits, fused.counts)).toBeLessThan(CLOSE);
  });

  test('start and stop at any block equals the whole, bit for bit', async () => {
    const { decoder, nLayers } = model;
    const start = decoder.embed(prompts([3, 8, 1]));
    const before = start.tensor.data.slice();
    const whole = await decoder.run(start);
    for (let cut = 0; cut <= nLayers; cut++) {
      const first = await decoder.run(start, { to: cut });
      const second = await decoder.run(first, { from: cut });
      for (const [b, n] of start.counts.entries())
        expect(rowOf(second.tensor, b, n)).toEqual(rowOf(whole.tensor, b, n));
    }
    expect(start.tensor.data).toEqual(before);
  });

  test('a right-padded batch equals each prompt alone, bit for bit', async () => {
    const ids = prompts([1, 5, 13, 40]);
    const { logits, counts } = await model.forward(ids);
    for (const [b, row] of ids.entries())
      expect(rowOf(logits, b, counts[b])).toEqual((await model.forward([row])).logits.data);
  });

  test('generation in a batch gives the ids of each prompt alone', async () => {
    const ids = prompts([2, 30, 7, 61, 7]);
    const options = { maxNewTokens: 40, stopTokens: [] };
    const together = await model.generate(ids, options);
    for (const [i, row] of ids.entries()) {
      const alone = await model.generate(row, options);
      expect(alone.smallestGap).toBeGreaterThan(1e-4); // else the choice may be noise
      expect(together[i]?.ids).toEqual(alone.ids);
    }
    expect((await model.generate(ids, { ...options, maxBatch: 2 })).map((c) => c.ids)).toEqual(
      together.map((c) => c.ids),
    );
  });

  test('decoding past cache steps of 64 equals one pass over the whole text', async () => {
    const { decoder } = model;
    const ids = prompts([60, 3], 2);
    const cache = new KvCache(decoder.config, 2, 60);
    await decoder.run(decoder.embed(ids), { cache });
    let last = (await decoder.run(decoder.embed(ids))).tensor;
    for (let step = 0; step < 140; step++) {
      const next = ids.map((row, b) => 4 + ((row.length * 7 + b) % 90));
      const { tensor } = await decoder.run(decoder.embed(next.map((id) => [id])), { cache });
      last = tensor;
      ids.forEach((row, b) => void row.push(next[b]));
      if (![3, 4, 67, 68, 139].includes(step)) continue;
      const { tensor: whole } = await decoder.run(decoder.embed(ids));
      for (const [b, row] of ids.entries()) {
        const want = rowOf(whole, b, row.length).slice(-decoder.config.dModel);
        const got = rowOf(last, b, 1);
        expect(Math.max(...want.map((w, i) => Math.abs(w - got[i])))).toBeLessThan(CLOSE);
      }
    }
    expect(cache.lengths).toEqual([200, 143]);
  });

  test('passes that overlap in time do not mix', async () => {
    const runs = [prompts([6, 4], 3), prompts([6, 4], 4), prompts([6, 4], 5)];
    const inside: FwdHook = ['blocks.1.hook_resid_mid', () => undefined];
    const alone: Tensor<'f32'>[] = [];
    for (const ids of runs) alone.push((await model.forward(ids)).logits);
    const together = await Promise.all(runs.map((ids, i) => model.forward(ids, i === 1 ? [inside] : [])));
    for (const [i, { logits, counts }] of together.entries())
      expect(worst(logits, alone[i], counts)).toBeLessThan(CLOSE);
    const texts = await Promise.all(
      runs.map((ids) => model.generate(ids, { maxNewTokens: 12, stopTokens: [] })),
    );
    for (const [i, ids] of runs.entries())
      expect(texts[i]).toEqual(await model.generate(ids, { maxNewTokens: 12, stopTokens: [] }));
  });

  test('logprobs are the log-softmax of the forward pass', async () => {
    const ids = prompts([5])[0];
    const { ids: chosen, logprobs } = await model.generate(ids, {
      maxNewTokens: 9,
      logprobs: true,
      stopTokens: [],
    });
    const { logits } = await model.forward([...ids, ...chosen]);
    const v = model.config.vocabSize;
    chosen.forEach((id, i) => {
      const row = Float64Array.from(logits.data.slice((ids.length + i - 1) * v, (ids.length + i) * v));
      const total = row.reduce((s, x) => s + Math.exp(x), 0);
      expect(Math.abs((logprobs?.[i] as number) - (row[id] - Math.log(total)))).toBeLessThan(CLOSE);
    });
  });
});

describe('hooks', () => {
  let it: { model: LanguageModel } & Owned;
  let model: LanguageModel;
  const ids = [1, 10, 20, 30];
  beforeAll(async () => {
    it = await randomModel('llama');
    model = it.model;
  });
  afterAll(() => it[Symbol.asyncDispose]());
  const logitsOf = async (): Promise<Float32Array> => (await model.forward(ids)).logits.data;
  const wipe: FwdHook = ['blocks.1.hook_resid_post', (a) => void a.data.fill(0)];

  test('changing an activation changes what follows and nothing before it', async () => {
    const plain = await logitsOf();
    const position = 2;
    const nudge: FwdHook = [
      'resid_mid.1',
      (a) => {
        const d = a.shape[2];
        for (let i = position * d; i < (position + 1) * d; i++) a.data[i] = a.data[i] + 0.5;
      },
    ];
    const nudged = (await model.runWithHooks(ids, { fwdHooks: [nudge] })).data;
    const v = model.config.vocabSize;
    expect(
      worst(
        { dtype: 'f32', shape: [1, 2, v], data: nudged.slice(0, 2 * v) },
        { dtype: 'f32', shape: [1, 2, v], data: plain.slice(0, 2 * v) },
        [2],
      ),
    ).toBeLessThan(CLOSE);
    for (const t of [2, 3])
      expect(nudged.slice(t * v, (t + 1) * v)).not.toEqual(plain.slice(t * v, (t + 1) * v));
    expect(await logitsOf()).not.toEqual(nudged);
  });

  test('a returned tensor replaces the activation, as writing into it does', async () => {
    const written = await model.runWithHooks(ids, { fwdHooks: [wipe] });
    const replaced = await model.runWithHooks(ids, {
      fwdHooks: [[wipe[0], (a) => ({ ...a, data: new Float32Array(a.data.length) })]],
    });
    expect(replaced.data).toEqual(written.data);
    expect(written.data).not.toEqual(await logitsOf());
  });

  test('several hooks run in order, each seeing what the one before left', async () => {
    const seen: number[] = [];
    const look: FwdHook = [wipe[0], (a) => void seen.push(a.data[0])];
    await model.forward(ids, [look, wipe, look]);
    expect(seen[0]).not.toBe(0);
    expect(seen[1]).toBe(0);
  });

  test('what only reads has its own to keep, at every point, and changes nothing', async () => {
    const plain = await logitsOf();
    const seen = new Map<string, Float32Array>();
    await model.forward(
      ids,
      model.hookNames.map((name): FwdHook => [name, (a) => void seen.set(name, a.data.slice())]),
    );
    const kept: [string, Float32Array][] = [];
    const keep = reading((a, { name }) => void kept.push([name, a.data]));
    const spoil = reading((a) => void a.data.fill(Number.NaN));
    const hooks = model.hookNames.flatMap((name): FwdHook[] => [name, name].map((n) => [n, keep]));
    const { logits } = await model.forward(ids, [...hooks, ...hooks.map(([name]): FwdHook => [name, spoil])]);
    expect(logits.data).toEqual(plain);
    expect(kept).toHaveLength(2 * model.hookNames.length);
    for (const [name, data] of kept) expect(data, name).toEqual(seen.get(name));
    expect(new Set(kept.map(([, { buffer }]) => buffer)).size).toBe(kept.length);
  });

  test('between blocks that run together, what reads sees what stood there in its turn', async () => {
    await using fresh = await randomModel('llama');
    const kept: Float32Array[] = [];
    const keep: FwdHook = [wipe[0], reading((a) => void kept.push(a.data))];
    const behind: FwdHook = ['blocks.2.hook_resid_pre', keep[1]];
    for (const hooks of [
      [keep, behind],
      [keep, wipe, keep, behind],
    ]) {
      const { logits } = await fresh.model.forward(ids, hooks);
      const wanted = await model.runWithHooks(
        ids,
        hooks.includes(wipe) ? { fwdHooks: [wipe] } : { fwdHooks: [] },
      );
      expect(logits.data).toEqual(wanted.data);
    }
    const [first, next, before, after, last] = kept as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expect(kept).toHaveLength(5);
    expect(first.some((v) => v !== 0)).toBe(true);
    for (const same of [next, before]) expect(same).toEqual(first);
    for (const zeroed of [after, last]) expect(zeroed).toEqual(new Float32Array(first.length));
    expect(new Set(kept.map(({ buffer }) => buffer)).size).toBe(5);
  });

  test('what the hook is told', async () => {
    const told: unknown[] = [];
    const hook: FwdHook = [
      'final_norm',
      (a, { name, layer, starts, counts, rows, phase }) =>
        void told.push({ name, layer, starts, counts, rows, phase, shape: a.shape }),
    ];
    await model.generate(prompts([3, 5]), { maxNewTokens: 2, stopTokens: [], fwdHooks: [hook] });
    const common = {
      name: 'ln_final.hook_normalized',
      layer: -1,
      counts: [1, 1],
      rows: [0, 1],
      shape: [2, 1, 48],
    };
    expect(told).toEqual([
      { ...common, starts: [2, 4], phase: 'prompt' },
      { ...common, starts: [3, 5], phase: 'generation' },
    ]);
  });

  test('hooks stay while they should, and come off also after a throw', async () => {
    const plain = await logitsOf();
    const remove = model.addHook(...wipe);
    expect(await logitsOf()).not.toEqual(plain);
    remove();
    expect(await logitsOf()).toEqual(plain);
    const failure = model.hooks({ fwdHooks: [wipe] }, async () => {
      expect(await logitsOf()).not.toEqual(plain);
      throw new Error('body failed');
    });
    await expect(failure).rejects.toThrow('body failed');
    expect(await logitsOf()).toEqual(plain);
    // the second name is wrong: the first must not stay
    const unknown: FwdHook = ['blocks.9.hook_resid_post', () => undefined];
    await expect(model.hooks({ fwdHooks: [wipe, unknown] }, async () => 1)).rejects.toThrow(InputError);
    expect(await logitsOf()).toEqual(plain);
    model.addHook(...wipe);
    model.resetHooks();
    expect(await logitsOf()).toEqual(plain);
  });

  test('a hook that throws leaves the model usable', async () => {
    const plain = await logitsOf();
    const bad: FwdHook = [
      'blocks.1.hook_attn_out',
      () => {
        throw new Error('hook failed');
      },
    ];
    await expect(model.forward(ids, [bad])).rejects.toThrow('hook failed');
    const again = await model.forward(ids);
    expect(worst(again.logits, { ...again.logits, data: plain }, [4])).toBeLessThan(CLOSE);
  });

  test.each([
    ['a promise', async () => undefined, 'got a promise; hooks are synchronous'],
    ['a number', () => 3, 'wanted nothing or a tensor back, got number'],
    [
      'another shape',
      (a: Tensor<'f32'>) => ({ ...a, shape: [4, 1, 48], data: a.data.slice() }),
      'wanted a replacement of shape [1,4,48], got [4,1,48]',
    ],
  ])('a hook that returns %s is refused', async (_, fn, message) => {
    const hook = ['hook_embed', fn] as unknown as FwdHook;
    await expect(model.forward(ids, [hook])).rejects.toThrow(message);
  });

  test('runWithCache finds an activation under the spelling asked for', async () => {
    const { cache } = await model.runWithCache(ids, { namesFilter: ['resid_post.0'] });
    expect(cache.names.sort()).toEqual(['blocks.0.hook_resid_post', 'resid_post.0']);
    await expect(model.runWithCache(ids, { namesFilter: () => false })).rejects.toThrow(InputError);
  });

  test('HookTable knows which blocks must run in pieces', () => {
    const table = new HookTable(
      [
        ['resid_mid.1', () => undefined],
        ['resid_post.0', () => undefined],
      ],
      3,
    );
    expect([0, 1, 2].map((i) => table.inside(i))).toEqual([false, true, false]);
  });
});

describe('generation', () => {
  let it: { model: LanguageModel } & Owned;
  let model: LanguageModel;
  const prompt = 'w10 w20 w30';
  beforeAll(async () => {
    it = await randomModel('llama');
    model = it.model;
  });
  afterAll(() => it[Symbol.asyncDispose]());

  test('greedy ids are the best tokens of forward passes', async () => {
    const { ids, text, finishReason } = await model.generate(prompt, { maxNewTokens: 6, stopTokens: [] });
    const all = model.toTokens(prompt)[0];
    for (const id of ids) {
      const { logits } = await model.forward(all);
      const row = Array.from(logits.data.slice(-model.config.vocabSize));
      expect(row.indexOf(Math.max(...row))).toBe(id);
      all.push(id);
    }
    expect(text).toBe(
      ids
        .filter((id) => id > 3)
        .map((id) => `w${id}`)
        .join(' '),
    );
    expect(finishReason).toBe('length');
  });

  test('sampling: the same seed gives the same ids, alone or in a batch; another seed does not', async () => {
    const batch = prompts([4, 6, 3, 8]);
    const options = { maxNewTokens: 20, temperature: 1.5, topK: 50, topP: 0.95, stopTokens: [] };
    const ids = async (extra: object): Promise<readonly (readonly number[])[]> =>
      (await model.generate(batch, { ...options, ...extra })).map((c) => c.ids);
    const wanted = await ids({ seed: 1 });
    expect(await ids({ seed: 1 })).toEqual(wanted);
    expect(await ids({ seed: 1, maxBatch: 1 })).toEqual(wanted);
    expect(await ids({ seed: 2 })).not.toEqual(wanted);
  });

  test('a stop token ends a row and is no part of it; other rows go on', async () => {
    const batch = prompts([4, 6, 3]);
    const free = await model.generate(batch, { maxNewTokens: 12, stopTokens: [] });
    const stop = free[1]?.ids[4];
    const stopped = await model.generate(batch, { maxNewTokens: 12, stopTokens: [stop] });
    free.forEach(({ ids }, i) => {
      const at = ids.indexOf(stop);
      expect(stopped[i]?.ids).toEqual(at < 0 ? ids : ids.slice(0, at));
      expect(stopped[i]?.finishReason).toBe(at < 0 ? 'length' : 'stop');
    });
  });

  test('a stop string ends a row; the text is cut before it', async () => {
    const free = await model.generate(prompt, { maxNewTokens: 12, stopTokens: [] });
    const words = free.text.split(' ');
    const stopString = `${words[4]} ${words[5]}`;
    const { text, finishReason } = await model.generate(prompt, {
      maxNewTokens: 12,
      stopTokens: [],
      stopStrings: [stopString],
    });
    expect(text).toBe(free.text.slice(0, free.text.indexOf(stopString)));
    expect(finishReason).toBe('stop');
  });

  test('streamed pieces join to the text of generate', async () => {
    const batch = ['w10 w20', 'w30 w40 w50 w60'];
    const options = { maxNewTokens: 10, stopStrings: ['w9'], maxBatch: 1 };
    const texts = batch.map(() => '');
    for await (const { row, text } of model.generateStream(batch, options)) texts[row] += text;
    expect(texts).toEqual((await model.generate(batch, options)).map((c) => c.text));
  });

  test('a consumer may leave the stream', async () => {
    for await (const { id } of model.generateStream(prompt, { stopTokens: [] })) {
      expect(id).toBeGreaterThanOrEqual(0);
      break;
    }
    expect((await model.generate(prompt, { maxNewTokens: 1, stopTokens: [] })).ids).toHaveLength(1);
  });

  test('an abort signal stops between tokens', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = async (): Promise<void> => {
      for await (const { id } of model.generateStream(prompt, {
        stopTokens: [],
        signal: controller.signal,
      })) {
        seen.push(id);
        if (seen.length === 3) controller.abort();
      }
    };
    await expect(run()).rejects.toThrow(AbortedError);
    expect(seen).toHaveLength(3);
  });

  const refusals: readonly (readonly [string, readonly [ModelInput, GenerateOptions], string])[] = [
    [
      'context',
      [prompts([250])[0], { maxNewTokens: 7 }],
      "generate: prompt 0: 250 tokens + 7 new ones exceed the model's context of 256",
    ],
    ['empty prompt', [[[5], []], {}], 'generate: prompt 1 has no tokens'],
    ['nothing', [[], {}], 'model input: nothing was given'],
    ['token', [[500], {}], 'embed: token id 500 is outside 0…111'],
    ['new tokens', [[5], { maxNewTokens: 0 }], 'max new tokens: wanted an integer ≥ 1, got 0'],
    ['batch', [[5], { maxBatch: 0 }], 'max batch: wanted an integer ≥ 1, got 0'],
    ['seed', [[5], { temperature: 1, seed: 0.5 }], 'seed: wanted an integer, got 0.5'],
    ['temperature', [[5], { temperature: -1 }], 'temperature: wanted a number ≥ 0, got -1'],
  ];
  test.each(refusals)('%s: refused in one line', async (_, [input, options], message) => {
    const failure = model.generate(input as number[], options);
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(message);
  });

  test('a forward pass beyond the context is refused', async () => {
    await expect(model.forward(prompts([257]))).rejects.toThrow(
      "run: 257 tokens exceed the model's context of 256; shorten the text",
    );
    expect((await model.forward(prompts([256]))).counts).toEqual([256]);
  });

  test('logits that are not numbers end in an error, not in a token', async () => {
    const poison: FwdHook = ['resid_post.2', (a) => void a.data.fill(Number.NaN)];
    await expect(model.generate(prompt, { fwdHooks: [poison] })).rejects.toThrow(
      'wanted finite activations, got NaN in row 0 after block 2',
    );
  });

  test('tokens and positions of a text', () => {
    expect(model.toTokens('w7 w8')).toEqual([[1, 7, 8]]);
    expect(model.toStrTokens('w7 w8')).toEqual(['<s>', 'w7', 'w8']);
    expect(model.getTokenPosition('w8', 'w7 w8')).toBe(2);
    expect(() => model.getTokenPosition('w7', 'w7 w7')).toThrow('occurs 2 times, wanted once');
    expect(() => model.getTokenPosition('w9', 'w7 w7')).toThrow(InputError);
  });

  test('a disposed model refuses to run', async () => {
    await using other = await randomModel('llama');
    await other.model[Symbol.asyncDispose]();
    await expect(other.model.forward('w5')).rejects.toThrow(/disposed/);
  });
});
