/** @file Adapters as PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors` (huggingface/peft, LoraConfig). */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, withAtomicFolder, writeFileAtomic, writeJsonAtomic } from '../base/index.ts';
import {
  type ModelConfig,
  parseStrictJsonObject,
  readSafetensors,
  readTensorFloat32,
  writeSafetensors,
} from '../models/index.ts';
import { type AdapterSite, adapterSites, factorOf, type LoraOptions, type LoraTarget } from './adapters.ts';
import { type Parameters, parameter } from './parameters.ts';

/** PEFT's name of each target. */
export const peftModules: Readonly<Record<LoraTarget, string>> = {
  q: 'q_proj',
  k: 'k_proj',
  v: 'v_proj',
  o: 'o_proj',
  gate: 'gate_proj',
  up: 'up_proj',
  down: 'down_proj',
};

const CONFIG = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';

/** Name of a factor in the weights file. */
const fileName = (site: AdapterSite, factor: 'A' | 'B'): string =>
  `base_model.model.${site.name.replace(/\.weight$/, '')}.lora_${factor}.weight`;

/** Write an adapter folder, whole or not at all. `base` is what PEFT will look for, a path or a hub name; `files` are written beside. */
export async function saveAdapter(
  folder: string,
  config: ModelConfig,
  parameters: Parameters,
  lora: LoraOptions,
  { base, files = {} }: { readonly base: string; readonly files?: Readonly<Record<string, string>> },
): Promise<void> {
  const sites = adapterSites(config, lora.targets);
  const tensors = sites.flatMap((site) => [
    { factor: 'A' as const, site, shape: [lora.rank, site.in] },
    { factor: 'B' as const, site, shape: [site.out, lora.rank] },
  ]);
  await withAtomicFolder(folder, async (part) => {
    await writeSafetensors(
      join(part, WEIGHTS),
      tensors.map(({ factor, site, shape }) => ({
        name: fileName(site, factor),
        dtype: 'F32' as const,
        shape,
        data: parameter(parameters, factorOf(site.name, factor)),
      })),
    );
    await writeJsonAtomic(join(part, CONFIG), {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: base,
      r: lora.rank,
      lora_alpha: lora.alpha,
      target_modules: [...new Set(sites.map((site) => peftModules[site.target]))],
      lora_dropout: 0,
      bias: 'none',
      fan_in_fan_out: false,
      use_rslora: false,
      use_dora: false,
      modules_to_save: null,
      inference_mode: true,
    });
    for (const [name, text] of Object.entries(files)) await writeFileAtomic(join(part, name), text);
  });
}

/** An adapter read from a folder: how it is scaled and where it sits, and its factors by parameter name. */
export interface Adapter {
  readonly lora: Required<LoraOptions>;
  readonly factors: Parameters;
  /** `base_model_name_or_path`, where it is given. */
  readonly baseModel?: string;
}

/**
 * Read an adapter for a model. Blocks the adapter leaves out get factors of zero. Throws {@link InputError} for what is not
 * plain LoRA (DoRA, ranks that differ, biases, modules saved whole) and for tensors that do not fit the model.
 */
export async function loadAdapter(folder: string, config: ModelConfig): Promise<Adapter> {
  const { lora, baseModel } = await readConfig(folder);
  const file = await readSafetensors(join(folder, WEIGHTS));
  const stored = new Map(file.tensors.map((t) => [t.name, t]));
  const factors: Parameters = new Map();
  for (const site of adapterSites(config, lora.targets)) {
    for (const factor of ['A', 'B'] as const) {
      const shape = factor === 'A' ? [lora.rank, site.in] : [site.out, lora.rank];
      const name = fileName(site, factor);
      const tensor = stored.get(name);
      stored.delete(name);
      if (tensor !== undefined && tensor.shape.join() !== shape.join())
        throw new InputError(
          `${folder}: ${name}: wanted [${shape.join(',')}], got [${tensor.shape.join(',')}]; the adapter belongs to another model`,
        );
      factors.set(
        factorOf(site.name, factor),
        tensor === undefined ? new Float32Array(shape[0] * shape[1]) : (await readTensorFloat32(tensor)).data,
      );
    }
  }
  const left = [...stored.keys()];
  if (left.length > 0 || stored.size === file.tensors.length)
    throw new InputError(
      `${folder}: ${left.length} tensors (${left.slice(0, 2).join(', ')}) have no place in this model; the adapter belongs to another one`,
    );
  return { lora, factors, baseModel };
}

async function readConfig(folder: string): Promise<{ lora: Required<LoraOptions>; baseModel?: string }> {
  const path = join(folder, CONFIG);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new InputError(`${folder}: wanted a PEFT adapter with ${CONFIG}, found none`, { cause });
  });
  const json = parseStrictJsonObject(bytes, path);
  const refuse = (key: string, wanted: string): never => {
    throw new InputError(`${path}: ${key}: wanted ${wanted}, got ${JSON.stringify(json[key])}`);
  };
  const off: Record<string, readonly unknown[]> = {
    bias: ['none', undefined],
    fan_in_fan_out: [false, null, undefined],
    use_dora: [false, null, undefined],
    lora_bias: [false, null, undefined],
    modules_to_save: [null, undefined],
    layer_replication: [null, undefined],
    trainable_token_indices: [null, undefined],
  };
  for (const [key, allowed] of Object.entries(off))
    if (!allowed.includes(json[key])) refuse(key, JSON.stringify(allowed[0]));
  for (const key of ['rank_pattern', 'alpha_pattern'])
    if (json[key] !== undefined && json[key] !== null && Object.keys(json[key]).length > 0)
      refuse(key, 'one rank and alpha for all');
  if (json.peft_type !== 'LORA') refuse('peft_type', '"LORA"');
  const { r: rank, lora_alpha: alpha, target_modules: modules } = json;
  if (!(Number.isInteger(rank) && (rank as number) >= 1)) refuse('r', 'an integer ≥ 1');
  if (typeof alpha !== 'number') refuse('lora_alpha', 'a number');
  if (!Array.isArray(modules) || modules.length === 0) refuse('target_modules', 'a list of names');
  const targets = (modules as unknown[]).map((module) => {
    const found = Object.entries(peftModules).find(([, name]) => name === module);
    return (found ?? refuse('target_modules', `names among ${Object.values(peftModules).join(', ')}`))[0];
  });
  return {
    lora: {
      rank: rank as number,
      // rank-stabilised LoRA scales by alpha/√rank (arXiv 2312.03732); the same factor written as alpha'/rank
      alpha: json.use_rslora === true ? (alpha as number) * Math.sqrt(rank as number) : (alpha as number),
      targets: targets as LoraTarget[],
    },
    ...(typeof json.base_model_name_or_path === 'string' ? { baseModel: json.base_model_name_or_path } : {}),
  };
}
