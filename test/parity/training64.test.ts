/**
 * @file Every gradient tensor in float64 against PyTorch in float64 (`make_training_goldens.py`), full weights and LoRA: the
 * graphs that train, built in float64 and run by the interpreter. A wrong formula stays as large as in float32; noise falls
 * to 1e-13. Tolerance 1e-9 relative to the largest value of a tensor.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, readSafetensors, readTensorFloat32 } from '../../src/models/index.ts';
import { allLoraTargets, isFactor, loadParameters, padBatch, trainRow } from '../../src/train/index.ts';
import { oracle, worstRelative } from '../../src/train/oracle.helper.ts';
import { loadAdapter } from '../../src/train/peft.ts';

const root = fileURLToPath(new URL('./training/', import.meta.url));

/** Golden gradients (float64 as stored) and the first batch. */
async function golden(name: string) {
  const file = await readSafetensors(`${root}${name}/golden.safetensors`);
  const bytes = readFileSync(file.file);
  const doubles = new Map(
    file.tensors
      .filter((t) => t.dtype === 'F64')
      .map((t) => [
        t.name,
        new Float64Array(new Uint8Array(bytes.subarray(t.offset, t.offset + t.byteLength)).buffer),
      ]),
  );
  const ints = async (key: string): Promise<Float32Array> =>
    (await readTensorFloat32(file.tensors.find((t) => t.name === `batch.0.${key}`)!)).data;
  const [ids, lengths, prompts] = [await ints('ids'), await ints('lengths'), await ints('prompts')];
  const columns = ids.length / 4;
  const rows = [0, 1, 2, 3].map((b) => {
    const row = Array.from(ids.subarray(b * columns, b * columns + lengths[b]));
    return trainRow(row.slice(0, prompts[b]), row.slice(prompts[b]));
  });
  const json = JSON.parse(readFileSync(`${root}${name}/golden.json`, 'utf8'));
  return { doubles, batch: padBatch(rows), json };
}

describe.each(['llama', 'qwen2', 'gemma3_text'])('float64 gradients of %s equal PyTorch', (name) => {
  it.each([64, 24])('full weights, head in chunks of %i of 64', async (chunk) => {
    const { doubles, batch, json } = await golden(name);
    const { config, parameters } = await loadParameters(await openCheckpoint(`${root}${name}`));
    const { loss, gradients } = oracle(config, parameters, batch, { chunk });
    expect(Math.abs(loss / batch.totalWeight - json.f64.loss)).toBeLessThan(1e-12);
    expect([...gradients.keys()].sort()).toEqual([...parameters.keys()].sort());
    for (const [tensor, gradient] of gradients)
      expect(worstRelative(gradient, doubles.get(`f64.grad.${tensor}`)!), tensor).toBeLessThan(1e-9);
  });

  it('LoRA, the adapter read from its PEFT folder', async () => {
    const { doubles, batch, json } = await golden(name);
    const { config, parameters } = await loadParameters(await openCheckpoint(`${root}${name}`));
    const { lora, factors } = await loadAdapter(`${root}${name}/adapter`, config);
    expect(lora).toEqual({ rank: 4, alpha: 8, targets: allLoraTargets });
    const { loss, gradients } = oracle(config, new Map([...parameters, ...factors]), batch, { lora });
    expect(Math.abs(loss / batch.totalWeight - json.f64.lora_loss)).toBeLessThan(1e-12);
    const adapters = [...gradients].filter(([tensor]) => isFactor(tensor));
    expect(adapters).toHaveLength(14 * config.blocks.length);
    for (const [tensor, gradient] of adapters) {
      const key = `f64.lora_grad.${tensor.replace(/\.lora_([AB])$/, '.$1')}`;
      expect(worstRelative(gradient, doubles.get(key)!), tensor).toBeLessThan(1e-9);
    }
  });
});
