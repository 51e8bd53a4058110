import { describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { centralDifference } from '../engine/testing.ts';
import { HEAD, type ModelConfig } from '../models/index.ts';
import { factorOf, initAdapters, type LoraOptions } from './adapters.ts';
import { packBatch, padBatch } from './batches.ts';
import { LossHead } from './head.ts';
import { oracle, worstRelative } from './oracle.helper.ts';
import type { Parameters } from './parameters.ts';
import { gemmaJson, llamaJson, tinyModel, tinyRows } from './tiny-model.helper.ts';
import { TrainableModel, type TrainableOptions } from './trainable.ts';

const oneThread = { threads: 1 } as const;

async function gradientsOf(
  config: ModelConfig,
  parameters: Parameters,
  use: (model: TrainableModel) => Promise<{ readonly loss: number }>,
  options: TrainableOptions = {},
): Promise<{ loss: number; gradients: Parameters }> {
  await using model = await TrainableModel.open(config, parameters, { ...oneThread, ...options });
  const { loss } = await use(model);
  return { loss, gradients: new Map(model.gradientsByName) };
}

function expectClose(got: Parameters, want: ReadonlyMap<string, ArrayLike<number>>, tolerance: number): void {
  for (const [name, gradient] of got)
    expect(worstRelative(gradient, want.get(name) as ArrayLike<number>), name).toBeLessThan(tolerance);
}

describe('gradients of a whole model', () => {
  it.each([
    ['llama', llamaJson],
    ['gemma2: soft-caps, sandwich norms, tied', gemmaJson],
  ])('of %s equal float64, products kept or not', async (_, json) => {
    const { config, parameters } = tinyModel(json);
    const batch = padBatch(tinyRows(5));
    const want = oracle(config, parameters, batch);
    for (const keepBytes of [0, 2 ** 30]) {
      const got = await gradientsOf(config, parameters, (m) => m.gradients(batch), { keepBytes });
      expect(Math.abs(got.loss - want.loss) / want.loss).toBeLessThan(1e-6);
      expect(got.gradients.size).toBe(parameters.size);
      expectClose(got.gradients, want.gradients, 1e-4);
    }
  });

  it('keeping products changes no bit, and neither does keeping those of some blocks', async () => {
    const { config, parameters } = tinyModel();
    const batch = padBatch(tinyRows(5));
    const run = (keepBytes: number) =>
      gradientsOf(config, parameters, (m) => m.gradients(batch), { keepBytes });
    const recomputed = await run(0);
    for (const keepBytes of [20_000, 2 ** 30])
      expect((await run(keepBytes)).gradients).toEqual(recomputed.gradients);
  });

  it('one thread or two give the same bytes', async () => {
    const { config, parameters } = tinyModel();
    const batch = padBatch(tinyRows(40));
    const run = (threads: number) => gradientsOf(config, parameters, (m) => m.gradients(batch), { threads });
    expect(await run(2)).toEqual(await run(1));
  });

  it('of the oracle equal central differences of its loss along random directions', () => {
    for (const json of [llamaJson, gemmaJson]) {
      const { config, parameters } = tinyModel(json);
      const batch = padBatch(tinyRows(3));
      const residual = Float64Array.from({ length: batch.ids.length * 16 }, (_, i) => Math.sin(i));
      const at = { from: 1, residual, scale: 1 };
      const { dInput } = oracle(config, parameters, batch, at);
      const rng = new Rng(5);
      for (let draw = 0; draw < 3; draw++) {
        const direction = Float64Array.from(residual, () => rng.normal());
        const moved = (t: number): number =>
          oracle(config, parameters, batch, {
            ...at,
            residual: residual.map((x, i) => x + t * direction[i]),
            gradients: false,
          }).loss;
        const slope = direction.reduce((sum, v, i) => sum + v * dInput[i], 0);
        expect(Math.abs(centralDifference(moved, 3e-4) - slope) / Math.abs(slope)).toBeLessThan(1e-7);
      }
    }
  });
});

describe('the suffix of a model', () => {
  it('gives the gradient towards the residual of block 1, weights frozen', async () => {
    const { config, parameters } = tinyModel();
    const batch = padBatch(tinyRows(3));
    const residual = Float32Array.from({ length: batch.ids.length * 16 }, (_, i) => Math.sin(i));
    await using model = await TrainableModel.open(config, parameters, { ...oneThread, trains: () => false });
    const got = await model.gradients(batch, { from: 1, residual, inputGradient: true, scale: 1 });
    const want = oracle(config, parameters, batch, {
      from: 1,
      residual: Float64Array.from(residual),
      scale: 1,
    });
    expect(Math.abs(got.loss - want.loss) / want.loss).toBeLessThan(1e-6);
    expect(worstRelative(got.inputGradient!, want.dInput)).toBeLessThan(1e-4);
    await expect(model.gradients(batch, { from: 1 })).rejects.toThrow(
      /wanted a residual \[3,\d+,16\], got no/,
    );
  });
});

describe('batches', () => {
  it('packed and padded rows give the same loss and gradients: packing never leaks', async () => {
    const { config, parameters } = tinyModel();
    const rows = tinyRows(9);
    const packed = packBatch(rows, 24);
    expect(packed.segments.length).toBeLessThan(5);
    const a = await gradientsOf(config, parameters, (m) => m.gradients(padBatch(rows)));
    const b = await gradientsOf(config, parameters, (m) => m.gradients(packed));
    expect(Math.abs(a.loss - b.loss) / a.loss).toBeLessThan(1e-6);
    expectClose(b.gradients, a.gradients, 1e-5);
  });

  it('packed rows keep apart under a sliding window too', async () => {
    const { config, parameters } = tinyModel(gemmaJson);
    const rows = tinyRows(6);
    const a = await gradientsOf(config, parameters, (m) => m.gradients(padBatch(rows)));
    const b = await gradientsOf(config, parameters, (m) => m.gradients(packBatch(rows, 30)));
    expectClose(b.gradients, a.gradients, 1e-5);
  });

  it('accumulated micro-batches equal one batch', async () => {
    const { config, parameters } = tinyModel(gemmaJson); // tied: the table's gradient comes from both ends
    const rows = tinyRows(8);
    const whole = padBatch(rows);
    const scale = 1 / whole.totalWeight;
    const one = await gradientsOf(config, parameters, (m) => m.gradients(whole));
    const parts = await gradientsOf(config, parameters, async (m) => {
      let loss = 0;
      for (const [i, at] of [0, 3, 5].entries()) {
        const batch = padBatch(rows.slice(at, [3, 5, 8][i]));
        loss += (await m.gradients(batch, { scale, accumulate: i > 0 })).loss;
      }
      return { loss };
    });
    expect(Math.abs(one.loss - parts.loss) / one.loss).toBeLessThan(1e-6);
    expectClose(parts.gradients, one.gradients, 1e-5);
  });

  it('refuses a token outside the vocabulary', async () => {
    const { config, parameters } = tinyModel();
    await using model = await TrainableModel.open(config, parameters, oneThread);
    const batch = padBatch([{ ids: [1, 50], weights: [0, 1] }]);
    await expect(model.loss(batch)).rejects.toThrow('token 50 is outside the vocabulary of 50');
  });
});

describe('what is not trained', () => {
  it('frozen blocks get no gradient and leave the others as they are', async () => {
    const { config, parameters } = tinyModel();
    const batch = padBatch(tinyRows(4));
    const all = await gradientsOf(config, parameters, (m) => m.gradients(batch));
    const upper = await gradientsOf(config, parameters, (m) => m.gradients(batch), {
      trains: (name) => name.startsWith('model.layers.2.') || name === HEAD,
    });
    expect([...upper.gradients.keys()].every((n) => n.startsWith('model.layers.2.') || n === HEAD)).toBe(
      true,
    );
    for (const [name, gradient] of upper.gradients) expect(gradient).toEqual(all.gradients.get(name));
  });

  it('LoRA equals float64 on the factors, and holds the base weights as they are', async () => {
    const { config, parameters } = tinyModel();
    const lora: LoraOptions = { rank: 3, alpha: 6, targets: ['q', 'v', 'down'] };
    const factors = initAdapters(config, lora, new Rng(3));
    const rng = new Rng(4);
    for (const [name, values] of factors)
      if (name.endsWith('B')) for (let i = 0; i < values.length; i++) values[i] = 0.3 * rng.normal();
    const together = new Map([...parameters, ...factors]);
    const batch = padBatch(tinyRows(4));
    const got = await gradientsOf(config, together, (m) => m.gradients(batch), {
      lora,
      trains: (name) => factors.has(name),
    });
    expect([...got.gradients.keys()].sort()).toEqual([...factors.keys()].sort());
    expect(got.gradients.has(factorOf('model.layers.0.mlp.down_proj.weight', 'A'))).toBe(true);
    expectClose(got.gradients, oracle(config, together, batch, { lora }).gradients, 1e-4);
    for (const [name, values] of tinyModel().parameters) expect(together.get(name)).toEqual(values);
  });
});

describe('the head', () => {
  it('in chunks that do not divide the vocabulary equals the head at once', async () => {
    const { config, parameters } = tinyModel(gemmaJson);
    const table = parameters.get('model.embed_tokens.weight')!;
    const tensors = { table, gain: parameters.get('model.norm.weight')! };
    const x = Float32Array.from({ length: 6 * 16 }, (_, i) => Math.cos(i));
    const run = async (chunk: number) => {
      const [into, gain] = [new Float32Array(table.length), new Float32Array(16)];
      await using head = await LossHead.open(config, { threads: 1 }, chunk);
      const labels = Int32Array.of(0, 7, 49, 17, 16, 8);
      const weights = Float32Array.of(1, 0.3, 1, 1, 1, 2);
      const result = await head.run({ x, labels, weights }, tensors, { scale: 0.5, table: into, gain });
      return { loss: result.loss, rows: result.rows!, into, gain };
    };
    const [whole, chunked] = [await run(50), await run(17)];
    expect(Math.abs(whole.loss - chunked.loss) / whole.loss).toBeLessThan(1e-6);
    for (const key of ['rows', 'into', 'gain'] as const)
      expect(worstRelative(chunked[key], whole[key]), key).toBeLessThan(1e-5);
  });
});
