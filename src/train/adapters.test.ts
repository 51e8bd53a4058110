import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { factorOf, initAdapters, type LoraOptions, mergeAdapters } from './adapters.ts';
import { padBatch } from './batches.ts';
import { worstRelative } from './oracle.helper.ts';
import type { Parameters } from './parameters.ts';
import { loadAdapter, saveAdapter } from './peft.ts';
import { tinyModel, tinyRows } from './tiny-model.helper.ts';
import { TrainableModel } from './trainable.ts';

const lora: LoraOptions = { rank: 3, alpha: 6, targets: ['q', 'o', 'up'] };
const { config, parameters } = tinyModel();

/** Factors as after some training. */
function trainedFactors(): Parameters {
  const factors = initAdapters(config, lora, new Rng(3));
  const rng = new Rng(4);
  for (const [name, values] of factors)
    if (name.endsWith('B')) for (let i = 0; i < values.length; i++) values[i] = 0.3 * rng.normal();
  return factors;
}

async function lossOf(weights: Parameters, options: { lora?: LoraOptions } = {}): Promise<number> {
  await using model = await TrainableModel.open(config, weights, {
    ...options,
    threads: 1,
    trains: () => false,
  });
  return (await model.loss(padBatch(tinyRows(4)))).loss;
}

describe('adapters', () => {
  it('change nothing at first, and are small', async () => {
    const factors = initAdapters(config, lora, new Rng(3));
    expect(factors.size).toBe(3 * 3 * 2);
    const a = factors.get(factorOf('model.layers.2.mlp.up_proj.weight', 'A'))!;
    expect(a).toHaveLength(3 * 16);
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(0.25); // 1/√16
    expect(Math.max(...a.map(Math.abs))).toBeGreaterThan(0.15);
    expect(await lossOf(new Map([...parameters, ...factors]), { lora })).toBe(await lossOf(parameters));
  });

  it('merged give the loss of the adapted model; untouched matrices are shared', async () => {
    const together = new Map([...parameters, ...trainedFactors()]);
    const merged = mergeAdapters(together, lora);
    expect([...merged.keys()]).toEqual([...parameters.keys()]);
    const [adapted, plain] = [await lossOf(together, { lora }), await lossOf(merged)];
    expect(Math.abs(adapted - plain) / plain).toBeLessThan(1e-6);
    expect(Math.abs(plain - (await lossOf(parameters))) / plain).toBeGreaterThan(1e-3);
    const name = (role: string): string => `model.layers.1.${role}.weight`;
    expect(merged.get(name('mlp.down_proj'))).toBe(parameters.get(name('mlp.down_proj')));
    expect(merged.get(name('mlp.up_proj'))).not.toBe(parameters.get(name('mlp.up_proj')));
  });

  it('merge to W + (alpha/rank)·B·A', () => {
    const w = Float32Array.of(1, 2, 3, 4, 5, 6); // [2,3]
    const weights = new Map([
      ['w', w],
      ['w.lora_A', Float32Array.of(1, 0, 2, 0, 1, 0)], // [2,3]
      ['w.lora_B', Float32Array.of(1, 2, 0, -1)], // [2,2]
    ]);
    const merged = mergeAdapters(weights, { rank: 2, alpha: 1 });
    expect(merged.get('w')).toEqual(Float32Array.of(1.5, 3, 4, 4, 4.5, 6));
  });
});

describe('PEFT folders', () => {
  let folder = '';
  const factors = trainedFactors();
  beforeAll(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'crosspatch-peft-')), 'adapter');
    await saveAdapter(folder, config, factors, lora, { base: 'some/model', files: { note: 'x' } });
  });
  const edited = async (change: Record<string, unknown>): Promise<string> => {
    const copy = `${folder}-${Math.abs(JSON.stringify(change).length)}-${Object.keys(change)[0]}`;
    await saveAdapter(copy, config, factors, lora, { base: 'some/model' });
    const path = join(copy, 'adapter_config.json');
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...change }));
    return copy;
  };

  it('come back as they were written', async () => {
    const read = await loadAdapter(folder, config);
    expect(read).toEqual({ lora, factors, baseModel: 'some/model' });
    expect(await readFile(join(folder, 'note'), 'utf8')).toBe('x');
  });

  it('with rank-stabilised scaling are the same adapter with alpha·√rank', async () => {
    const read = await loadAdapter(await edited({ use_rslora: true }), config);
    expect(read.lora.alpha).toBeCloseTo(6 * Math.sqrt(3), 12);
  });

  it.each([
    [{ use_dora: true }, /use_dora: wanted false, got true/],
    [{ bias: 'all' }, /bias: wanted "none", got "all"/],
    [{ rank_pattern: { q_proj: 2 } }, /rank_pattern: wanted one rank/],
    [{ target_modules: ['q_proj', 'wte'] }, /target_modules: wanted names among q_proj, .*wte/],
    [{ target_modules: ['q_proj', 'o_proj'] }, /6 tensors \(.*up_proj.* have no place/],
    [{ r: 2 }, /lora_A.weight: wanted \[2,16\], got \[3,16\]; the adapter belongs to another model/],
    [{ peft_type: 'IA3' }, /peft_type: wanted "LORA"/],
  ])('refuse %j', async (change, message) => {
    await expect(loadAdapter(await edited(change), config)).rejects.toThrow(message);
  });

  it('that are missing are named', async () => {
    await expect(loadAdapter(`${folder}/none`, config)).rejects.toThrow(/wanted a PEFT adapter.*found none/);
  });

  it('for another model are refused', async () => {
    const wider = tinyModel({ ...(await import('./tiny-model.helper.ts')).llamaJson, hidden_size: 32 });
    await expect(loadAdapter(folder, wider.config)).rejects.toThrow(/belongs to another model/);
  });

  it('adapted loss of the read factors equals that of the written ones', async () => {
    const read = await loadAdapter(folder, config);
    const again = await lossOf(new Map([...parameters, ...read.factors]), { lora: read.lora });
    expect(worstRelative([again], [await lossOf(new Map([...parameters, ...factors]), { lora })])).toBe(0);
  });
});
