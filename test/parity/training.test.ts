/**
 * @file Loss, every gradient and twenty AdamW steps against PyTorch (`make_training_goldens.py`), full weights and LoRA.
 * Tolerances: gradients 1e-4 relative to the largest value of the tensor in float32 (PyTorch's own float32 errs 4e-6),
 * losses 1e-3 over twenty steps (PyTorch float32 against float64: 3e-5).
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, readSafetensors, readTensorFloat32 } from '../../src/models/index.ts';
import {
  AdamW,
  allLoraTargets,
  globalNorm,
  loadParameters,
  padBatch,
  TrainableModel,
  trainRow,
} from '../../src/train/index.ts';

const root = fileURLToPath(new URL('./training/', import.meta.url));

async function golden(name: string) {
  const tensors = new Map<string, Float32Array>();
  for (const t of (await readSafetensors(`${root}${name}/golden.safetensors`)).tensors)
    tensors.set(t.name, (await readTensorFloat32(t)).data);
  const batches = [0, 1, 2].map((i) => {
    const ids = tensors.get(`batch.${i}.ids`)!;
    const columns = ids.length / 4;
    return padBatch(
      [0, 1, 2, 3].map((b) => {
        const row = Array.from(
          ids.subarray(b * columns, b * columns + tensors.get(`batch.${i}.lengths`)![b]),
        );
        const prompt = tensors.get(`batch.${i}.prompts`)![b];
        return trainRow(row.slice(0, prompt), row.slice(prompt));
      }),
    );
  });
  return { tensors, batches, json: JSON.parse(readFileSync(`${root}${name}/golden.json`, 'utf8')) };
}

function worstRelative(got: Float32Array, want: Float32Array): number {
  const scale = want.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  return got.reduce((m, v, i) => Math.max(m, Math.abs(v - want[i])), 0) / scale;
}

/** Steps as the golden made them; returns the losses before each step and after the last. */
async function train(
  model: TrainableModel,
  batches: Awaited<ReturnType<typeof golden>>['batches'],
  settings: { lr: number; eps: number; weight_decay: number; clip_norm: number; steps: number },
) {
  const optimizer = new AdamW(model.gradientsByName, {
    betas: [0.9, 0.95],
    eps: settings.eps,
    weightDecay: settings.weight_decay,
  });
  const losses: number[] = [];
  for (let step = 1; step <= settings.steps; step++) {
    const { loss, weight } = await model.gradients(batches[(step - 1) % 3]);
    losses.push(loss / weight);
    const scale = Math.min(1, settings.clip_norm / (globalNorm(model.gradientsByName) + 1e-6));
    optimizer.update(model.parameters, model.gradientsByName, { step, rate: () => settings.lr, scale });
  }
  const last = await model.loss(batches[settings.steps % 3]);
  return [...losses, last.loss / last.weight];
}

describe.each(['llama', 'qwen2', 'gemma3_text'])('training %s equals PyTorch', (name) => {
  it('full weights', async () => {
    const { tensors, batches, json } = await golden(name);
    const { config, parameters } = await loadParameters(await openCheckpoint(`${root}${name}`));
    await using model = await TrainableModel.open(config, parameters, { threads: 1 });
    const { loss, weight } = await model.gradients(batches[0]);
    expect(loss / weight).toBeCloseTo(json.f64.loss, 5);
    for (const [tensor, gradient] of model.gradientsByName)
      expect(worstRelative(gradient, tensors.get(`f64.grad.${tensor}`)!), tensor).toBeLessThan(1e-4);
    const losses = await train(model, batches, json.settings);
    losses.forEach((l, i) => {
      expect(Math.abs(l - json.f64.adamw_losses[i]), `step ${i}`).toBeLessThan(1e-3);
    });
  });

  it('LoRA', async () => {
    const { tensors, batches, json } = await golden(name);
    const { config, parameters } = await loadParameters(await openCheckpoint(`${root}${name}`));
    for (const [key, values] of tensors)
      if (key.startsWith('lora_init.'))
        parameters.set(key.slice(10).replace(/\.([AB])$/, '.lora_$1'), values.slice());
    const { rank, alpha } = json.settings.lora;
    await using model = await TrainableModel.open(config, parameters, {
      threads: 1,
      trains: (n) => n.includes('.lora_'),
      lora: { rank, alpha, targets: allLoraTargets },
    });
    await model.gradients(batches[0]);
    expect(model.gradientsByName.size).toBe(14 * config.blocks.length);
    for (const [tensor, gradient] of model.gradientsByName) {
      expect(
        worstRelative(gradient, tensors.get(`f64.lora_grad.${tensor.replace(/\.lora_([AB])$/, '.$1')}`)!),
        tensor,
      ).toBeLessThan(1e-4);
    }
    // The run starts where adapters start: B at zero.
    for (const [key, values] of parameters) if (key.endsWith('.lora_B')) values.fill(0);
    const losses = await train(model, batches, json.settings);
    losses.forEach((l, i) => {
      expect(Math.abs(l - json.f64.lora_adamw_losses[i]), `step ${i}`).toBeLessThan(1e-3);
    });
  });
});
