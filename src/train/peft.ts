/** @file Adapters as PEFT keeps them: `adapter_config.json` and `adapter_model.safetensors` (huggingface/peft, LoraConfig). */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, showText, withAtomicFolder, writeFileAtomic, writeJsonAtomic } from '../base/index.ts';
import {
  type ModelConfig,
  readSafetensors,
  readTensorFloat32,
  refuseNonFinite,
  type TensorInfo,
  writeSafetensors,
} from '../models/index.ts';
import {
  type AdapterSite,
  adapterSites,
  allLoraTargets,
  factorOf,
  type LoraOptions,
  type LoraTarget,
} from './adapters.ts';
import { type Parameters, parameter } from './parameters.ts';
import { CONFIG, readPeftConfig } from './peft-config.ts';

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

const WEIGHTS = 'adapter_model.safetensors';

/** A factor of a site's adapter as the weights file has it. */
interface StoredFactor {
  readonly name: string;
  /** Of the parameter. */
  readonly parameter: string;
  readonly shape: readonly [number, number];
}

/** The factors A [rank, in] and B [out, rank] of a site. */
function factorsOf(site: AdapterSite, rank: number): readonly [a: StoredFactor, b: StoredFactor] {
  const stored = (factor: 'A' | 'B', shape: readonly [number, number]): StoredFactor => ({
    name: `base_model.model.${site.name.replace(/\.weight$/, '')}.lora_${factor}.weight`,
    parameter: factorOf(site.name, factor),
    shape,
  });
  return [stored('A', [rank, site.in]), stored('B', [site.out, rank])];
}

/** An adapter: how it is scaled and where it sits, and its factors by parameter name. */
interface Adapter {
  readonly lora: LoraOptions;
  readonly factors: Parameters;
  /** `base_model_name_or_path`, where it is given. */
  readonly baseModel?: string;
}

/** Write an adapter folder, whole or not at all. `base` is what PEFT will look for, a path or a hub name; `files` are written beside. */
export async function saveAdapter(
  folder: string,
  config: ModelConfig,
  { lora, factors }: Adapter,
  { base, files = {} }: { readonly base: string; readonly files?: Readonly<Record<string, string>> },
): Promise<void> {
  const sites = adapterSites(config, lora.targets);
  await withAtomicFolder(folder, async (part) => {
    await writeSafetensors(
      join(part, WEIGHTS),
      sites
        .flatMap((site) => factorsOf(site, lora.rank))
        .map(({ name, parameter: from, shape }) => ({
          name,
          dtype: 'F32' as const,
          shape,
          data: parameter(factors, from),
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

/**
 * Read an adapter for a model. Matrices the adapter leaves out have no factors. Where ranks or scales differ
 * (`rank_pattern`, `alpha_pattern`) each pair of factors has its own rank, B carries its scale, and `lora` says alpha = rank.
 *
 * @throws InputError for what is not plain LoRA, for tensors without a place in the model, and for values that are not numbers
 */
export async function loadAdapter(
  folder: string,
  config: ModelConfig,
): Promise<Adapter & { readonly lora: Required<LoraOptions> }> {
  const peft = await readPeftConfig(folder);
  const stored = new Map((await weightsOf(folder)).map((t) => [t.name, t]));
  const total = stored.size;
  const sites = adapterSites(config).flatMap((site) => {
    const settings = peft.siteOf(site.name.replace(/\.weight$/, ''), site.layer);
    return settings === undefined ? [] : [{ site, ...settings }];
  });
  if (sites.length === 0)
    throw new InputError(
      `${folder}: target_modules: wanted names among ${Object.values(peftModules).join(', ')}, got none that names a matrix of this model`,
      { id: 'adapter-mismatch' },
    );
  const held = sites.flatMap((s) => {
    const factors = factorsOf(s.site, s.rank);
    const [a, b] = factors.map((factor) => take(stored, folder, factor));
    if ((a === undefined) !== (b === undefined))
      throw new InputError(
        `${folder}: ${factors[a === undefined ? 0 : 1].name} is missing beside its other half; the adapter is incomplete`,
        { id: 'adapter-mismatch' },
      );
    return a === undefined || b === undefined ? [] : [{ ...s, a, b }];
  });
  const left = [...stored.keys()];
  if (left.length > 0 || total === 0)
    throw new InputError(
      `${folder}: ${left.length} tensors (${left
        .slice(0, 2)
        .map((n) => showText(n))
        .join(
          ', ',
        )}) have no place in this model as ${CONFIG} describes the adapter; it belongs to another model, or adapts more than the matrices of blocks`,
      { id: 'adapter-mismatch' },
    );
  const [first] = held;
  const largest = Math.max(...held.map((s) => s.rank));
  const uniform = held.every((s) => s.rank === first.rank && s.alpha === first.alpha);
  const { rank, alpha } = uniform ? first : { rank: largest, alpha: largest };
  const factors: Parameters = new Map();
  for (const { site, a, b, ...own } of held) {
    const [down, up] = [await valuesOf(a, folder), await valuesOf(b, folder)];
    factors.set(factorOf(site.name, 'A'), down);
    factors.set(factorOf(site.name, 'B'), uniform ? up : up.map((v) => v * (own.alpha / own.rank)));
  }
  const targets = allLoraTargets.filter((t) => held.some((s) => s.site.target === t));
  return { lora: { rank, alpha, targets }, factors, baseModel: peft.baseModel };
}

/** The tensors of an adapter's file. */
async function weightsOf(folder: string): Promise<readonly TensorInfo[]> {
  const names = await readdir(folder);
  const pickled = names.find((name) => /^adapter_model\.(bin|pt|pth)$/.test(name));
  if (!names.includes(WEIGHTS) && pickled !== undefined)
    throw new InputError(
      `${folder}: wanted ${WEIGHTS}, got ${pickled}, pickled weights, which can run code; convert them: load the adapter with PEFT and save it with safe_serialization=True`,
      { id: 'adapter-mismatch' },
    );
  return (await readSafetensors(join(folder, WEIGHTS))).tensors;
}

/** The tensor of a factor, checked against its shape and taken out of `stored`. */
function take(
  stored: Map<string, TensorInfo>,
  folder: string,
  { name, shape }: StoredFactor,
): TensorInfo | undefined {
  const tensor = stored.get(name);
  stored.delete(name);
  if (tensor !== undefined && tensor.shape.join() !== shape.join())
    throw new InputError(
      `${folder}: ${name}: wanted [${shape.join(',')}], got [${tensor.shape.join(',')}]; the adapter belongs to another model`,
      { id: 'adapter-mismatch' },
    );
  return tensor;
}

async function valuesOf(tensor: TensorInfo, folder: string): Promise<Float32Array> {
  const { data } = await readTensorFloat32(tensor);
  refuseNonFinite(data, `${folder}: ${tensor.name}`);
  return data;
}
