import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { writeSafetensors } from '../models/index.ts';
import { adapterSites, factorOf, initAdapters, type LoraOptions, mergeAdapters } from './adapters.ts';
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

  it('with an alpha of 0 leave the model as it is, to the bit', () => {
    const parameters = tinyModel().parameters;
    const off: LoraOptions = { ...lora, alpha: 0 };
    const factors = initAdapters(config, off, new Rng(4));
    // B starts at zero; numbers in it show that alpha alone takes the adapter away
    for (const [name, values] of factors) if (name.endsWith('lora_B')) values.fill(0.5);
    const merged = mergeAdapters(new Map([...parameters, ...factors]), off);
    for (const [name, values] of parameters) expect(merged.get(name)).toEqual(values);
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
    await saveAdapter(folder, config, { lora, factors }, { base: 'some/model', files: { note: 'x' } });
  });
  const edited = async (change: Record<string, unknown>): Promise<string> => {
    const copy = `${folder}-${createHash('sha1').update(JSON.stringify(change)).digest('hex').slice(0, 8)}-${Object.keys(change)[0]}`;
    await saveAdapter(copy, config, { lora, factors }, { base: 'some/model' });
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
    [{ rank_pattern: { q_proj: 2 } }, /q_proj.lora_A.weight: wanted \[2,16\], got \[3,16\]/],
    [{ target_modules: ['wte'] }, /target_modules: wanted names among q_proj/],
    [{ target_modules: '(a+)+$' }, /adapter pattern "\(a\+\)\+\$": a repeat of a group/],
    [{ r: 1e9 }, /r: wanted an integer from 1 to 65536, got 1000000000/],
    [{ lora_alpha: -1 }, /lora_alpha: wanted a number ≥ 0/],
    // What is asked for and not applied is named, whatever it is called.
    [{ alora_invocation_tokens: [15] }, /alora_invocation_tokens: .*not applied/],
    [{ alora_invocation_tokens: [] }, /alora_invocation_tokens/],
    [{ init_lora_weights: 'pissa_niter_4' }, /init_lora_weights: .*"pissa_niter_4"/],
    [{ init_lora_weights: 'olora' }, /init_lora_weights/],
    [{ init_lora_weights: 'corda' }, /init_lora_weights/],
    [{ init_lora_weights: 'loftq' }, /init_lora_weights/],
    [{ init_lora_weights: 'lora_ga' }, /init_lora_weights/],
    [{ init_lora_weights: 'mica' }, /init_lora_weights/],
    [{ corda_config: { corda_method: 'kpm' } }, /corda_config/],
    [{ lora_ga_config: { direction: 'ArB2r' } }, /lora_ga_config/],
    [{ kasa_config: { beta: 1 } }, /kasa_config/],
    [{ arrow_config: { top_k: 3 } }, /arrow_config/],
    [{ use_qalora: true }, /use_qalora/],
    [{ use_bdlora: { nblocks: 2 } }, /use_bdlora/],
    [{ lora_bias: true }, /lora_bias/],
    [{ fan_in_fan_out: true }, /fan_in_fan_out/],
    [{ modules_to_save: ['lm_head'] }, /modules_to_save/],
    [{ trainable_token_indices: [1] }, /trainable_token_indices/],
    [{ target_parameters: ['mlp.experts'] }, /target_parameters/],
    [{ layer_replication: [[0, 2]] }, /layer_replication/],
    [{ megatron_config: { hidden_size: 16 } }, /megatron_config/],
    [{ task_type: 'SEQ_CLS' }, /task_type/],
    [{ of_a_later_version: true }, /of_a_later_version: .*not applied/],
    [{ target_modules: ['q_proj', 'o_proj'] }, /6 tensors \(.*up_proj.* have no place/],
    [{ r: 2 }, /lora_A.weight: wanted \[2,16\], got \[3,16\]; the adapter belongs to another model/],
    [{ peft_type: 'IA3' }, /peft_type: wanted "LORA"/],
  ])('refuse %j', async (change, message) => {
    await expect(loadAdapter(await edited(change), config)).rejects.toThrow(message);
  });

  const twoRanks = { rank_pattern: { up_proj: 2, '1.self_attn.q_proj': 1 }, alpha_pattern: { o_proj: 9 } };
  it('with ranks and alphas of their own merge as each site says', async () => {
    const sites = adapterSites(config, lora.targets);
    const rankOf = (name: string): number =>
      name.includes('up_proj') ? 2 : name.includes('layers.1.self_attn.q_proj') ? 1 : 3;
    const cut = (values: Float32Array, rank: number, isA: boolean): Float32Array =>
      isA
        ? values.slice(0, (values.length / 3) * rank)
        : Float32Array.from({ length: (values.length / 3) * rank }, (_, i) => {
            return values[3 * Math.floor(i / rank) + (i % rank)];
          });
    const copy = await edited(twoRanks);
    await writeSafetensors(
      join(copy, 'adapter_model.safetensors'),
      sites.flatMap(({ name, out, in: inner }) =>
        (['A', 'B'] as const).map((f) => ({
          name: `base_model.model.${name.replace(/\.weight$/, '')}.lora_${f}.weight`,
          dtype: 'F32' as const,
          shape: f === 'A' ? [rankOf(name), inner] : [out, rankOf(name)],
          data: cut(factors.get(factorOf(name, f))!, rankOf(name), f === 'A'),
        })),
      ),
    );
    const read = await loadAdapter(copy, config);
    const merged = mergeAdapters(new Map([...parameters, ...read.factors]), read.lora);
    for (const { name } of sites) {
      const rank = rankOf(name);
      const alone = mergeAdapters(
        new Map([
          [name, parameters.get(name)!],
          [factorOf(name, 'A'), cut(factors.get(factorOf(name, 'A'))!, rank, true)],
          [factorOf(name, 'B'), cut(factors.get(factorOf(name, 'B'))!, rank, false)],
        ]),
        { rank, alpha: name.includes('o_proj') ? 9 : 6 },
      );
      expect(worstRelative([...merged.get(name)!], [...alone.get(name)!])).toBeLessThan(1e-6);
    }
  });

  it.each([
    [{ target_modules: '.*\\.(q|o|up)_proj' }],
    [
      {
        target_modules: [
          'self_attn.q_proj',
          'model.layers.0.self_attn.o_proj',
          'o_proj',
          'mlp.up_proj',
          'W_pack',
        ],
      },
    ],
    [{ target_modules: 'all-linear', exclude_modules: ['k_proj', 'v_proj'] }],
    [{ modules_to_save: [], layer_replication: [], layers_to_transform: [], layers_pattern: [] }],
    [{ target_parameters: [], exclude_modules: [], trainable_token_indices: [], loftq_config: {} }],
    [{ layers_to_transform: [0, 1, 2], layers_pattern: 'layers' }],
    [{ init_lora_weights: 'gaussian', lora_dropout: 0.1, peft_version: '0.21.2', revision: 'main' }],
  ])('are the same adapter with %j', async (change) => {
    expect(await loadAdapter(await edited(change), config)).toEqual({
      lora,
      factors,
      baseModel: 'some/model',
    });
  });

  it('of some blocks leave the others alone', async () => {
    const copy = await edited({ layers_to_transform: 1 });
    await expect(loadAdapter(copy, config)).rejects.toThrow(/12 tensors .*layers.0/);
  });

  it('with a factor that is not a number, or without its other half, are refused', async () => {
    const nan = await edited({ revision: 'nan' });
    await writeSafetensors(
      join(nan, 'adapter_model.safetensors'),
      adapterSites(config, lora.targets).flatMap(({ name, out, in: inner }) =>
        (['A', 'B'] as const).map((f) => {
          const data = factors.get(factorOf(name, f))!.slice();
          if (name.includes('1.mlp.up') && f === 'B') data[5] = Number.NaN;
          const shape = f === 'A' ? [3, inner] : [out, 3];
          const at = `base_model.model.${name.replace(/\.weight$/, '')}.lora_${f}.weight`;
          return { name: at, dtype: 'F32' as const, shape, data: new Uint8Array(data.buffer) };
        }),
      ),
    );
    await expect(loadAdapter(nan, config)).rejects.toThrow(
      /layers.1.mlp.up_proj.lora_B.weight: wanted finite numbers, got NaN at element 5/,
    );
    const copy = await edited({ note: null });
    await writeSafetensors(join(copy, 'adapter_model.safetensors'), [
      {
        name: 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight',
        dtype: 'F32',
        shape: [3, 16],
        data: new Float32Array(48),
      },
    ]);
    await expect(loadAdapter(copy, config)).rejects.toThrow(/q_proj.lora_B.weight is missing/);
  });

  it('with pickled weights say how to convert them', async () => {
    const copy = await edited({ revision: 'x' });
    await rename(join(copy, 'adapter_model.safetensors'), join(copy, 'adapter_model.bin'));
    await expect(loadAdapter(copy, config)).rejects.toThrow(/adapter_model.bin, pickled.*safe_serialization/);
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
