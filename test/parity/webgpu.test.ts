/**
 * @file The WebGPU provider computes what the CPU computes: forward on three families, losses and gradients in training. Runs with
 * CROSSPATCH_WEBGPU=1, on a GPU or on a software one (docs/results/parity.md says how); skipped, loudly, otherwise.
 * Tolerance 1e-4 of the largest value: other order of addition, other exp and tanh.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Decoder, openCheckpoint } from '../../src/models/index.ts';
import { loadParameters, padBatch, TrainableModel, trainRow } from '../../src/train/index.ts';

const on = process.env.CROSSPATCH_WEBGPU === '1';
if (!on) console.warn('SKIPPED: WebGPU against CPU; set CROSSPATCH_WEBGPU=1');

const folder = (path: string): string => fileURLToPath(new URL(`./${path}`, import.meta.url));
const providers = ['cpu', 'webgpu'] as const;

/** Largest difference, relative to the largest value. */
function worst(got: Float32Array, want: Float32Array): number {
  expect(got.length).toBe(want.length);
  const largest = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  expect(largest).toBeGreaterThan(0);
  return (
    got.reduce(
      (m, v, i) => (Number.isNaN(v) ? Number.POSITIVE_INFINITY : Math.max(m, Math.abs(v - want[i]))),
      0,
    ) / largest
  );
}

describe.each(['llama', 'qwen3', 'gemma2'])('forward of %s', (family) => {
  it.skipIf(!on)(
    'residuals and logits',
    async () => {
      const checkpoint = await openCheckpoint(folder(`families/${family}`));
      const found: Float32Array[][] = [];
      for (const provider of providers) {
        await using decoder = await Decoder.open(checkpoint, { provider });
        // rows of one length: what stands at padding is arbitrary
        const { tensor } = await decoder.run(
          decoder.embed([
            [1, 5, 9, 7],
            [1, 6, 8, 4],
          ]),
        );
        const logits = await decoder.unembed({ ...tensor, shape: [8, decoder.config.dModel] });
        found.push([tensor.data, logits.data]);
      }
      const [cpu, gpu] = found as [Float32Array[], Float32Array[]];
      for (const i of [0, 1]) expect(worst(gpu[i], cpu[i])).toBeLessThan(1e-4);
    },
    600_000,
  );
});

describe.each(['llama', 'gemma3_text'])('training of %s', (family) => {
  it.skipIf(!on)(
    'loss and every gradient',
    async () => {
      const batch = padBatch([trainRow([1, 5, 9], [7, 2]), trainRow([1, 6], [8, 4, 2])]);
      const found: { loss: number; gradients: Map<string, Float32Array> }[] = [];
      for (const provider of providers) {
        const { config, parameters } = await loadParameters(
          await openCheckpoint(folder(`training/${family}`)),
        );
        await using model = await TrainableModel.open(config, parameters, { provider });
        const { loss } = await model.gradients(batch);
        const copies = [...model.gradientsByName].map(([name, g]) => [name, g.slice()] as const);
        found.push({ loss, gradients: new Map(copies) });
      }
      const [cpu, gpu] = found as [(typeof found)[number], (typeof found)[number]];
      expect(Math.abs(gpu.loss - cpu.loss)).toBeLessThan(1e-4 * cpu.loss);
      for (const [name, gradient] of cpu.gradients)
        expect(worst(gpu.gradients.get(name) as Float32Array, gradient), name).toBeLessThan(1e-3);
    },
    600_000,
  );
});
