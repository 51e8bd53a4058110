/** @file LoRA (arXiv 2106.09685): W + (alpha/rank)·B·A on chosen matrices, trained in place of W. */
import { CrosspatchError, InputError, type Rng } from '../base/index.ts';
import { add, linear, type Node, scale } from '../engine/index.ts';
import { type BlockRole, blockTensorName, blockTensors, type ModelConfig } from '../models/index.ts';
import { type Parameters, parameter } from './parameters.ts';

/** Which matrices get an adapter, and how large. */
export interface LoraOptions {
  readonly rank: number;
  /** The product B·A is multiplied by alpha / rank. */
  readonly alpha: number;
  /** Defaults to all seven matrices of a block. */
  readonly targets?: readonly LoraTarget[];
}

/** The matrices an adapter may sit on. */
export type LoraTarget = 'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down';

export const allLoraTargets: readonly LoraTarget[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

/** Input names of a role's factors in the block graphs: A [rank, in], B [out, rank]. */
export const factorName = (role: BlockRole, factor: 'A' | 'B'): string => `${role}.lora_${factor}`;

/** Parameter name of a factor on the matrix called `name`. */
export const factorOf = (name: string, factor: 'A' | 'B'): string => `${name}.lora_${factor}`;

/** True for the parameter name of an adapter's factor. */
export const isFactor = (name: string): boolean => /\.lora_[AB]$/.test(name);

/** x Wᵀ + (alpha/rank)·(x Aᵀ) Bᵀ: the product of the factors is never formed. */
export function adapted(
  x: Node,
  w: Node,
  { a, b }: { readonly a: Node; readonly b: Node },
  { alpha, rank }: LoraOptions,
): Node {
  return add(linear(x, w), scale(linear(linear(x, a), b), alpha / rank));
}

/** A matrix that carries an adapter, W [out, in]. */
export interface AdapterSite {
  /** Full name of W. */
  readonly name: string;
  readonly layer: number;
  readonly target: LoraTarget;
  readonly out: number;
  readonly in: number;
}

/** Every matrix of a model that an adapter sits on, block by block. */
export function adapterSites(
  config: ModelConfig,
  targets: readonly LoraTarget[] = allLoraTargets,
): AdapterSite[] {
  const tensors = blockTensors(config);
  return config.blocks.flatMap((_, layer) =>
    allLoraTargets
      .filter((target) => targets.includes(target))
      .map((target) => {
        const tensor = tensors[target];
        if (tensor === undefined)
          throw new CrosspatchError(`adapter: ${config.modelType} has no ${target}`, {
            id: 'adapter-mismatch',
          });
        const [out, inner] = tensor.shape as [number, number];
        return { name: blockTensorName(layer, tensor.name), layer, target, out, in: inner };
      }),
  );
}

/**
 * Factors that change nothing yet: A uniform in ±1/√in (PEFT's default, Kaiming with a = √5), B zero.
 * The result holds the factors alone; add them to a model's parameters, whose matrices stay shared and untouched.
 */
export function initAdapters(config: ModelConfig, options: LoraOptions, rng: Rng): Parameters {
  if (!Number.isInteger(options.rank) || options.rank < 1)
    throw new InputError(`LoRA: wanted a rank that is an integer ≥ 1, got ${options.rank}`, {
      id: 'adapter-mismatch',
    });
  const factors: Parameters = new Map();
  for (const site of adapterSites(config, options.targets)) {
    const draw = rng.fork(site.name);
    const bound = 1 / Math.sqrt(site.in);
    factors.set(
      factorOf(site.name, 'A'),
      Float32Array.from({ length: options.rank * site.in }, () => (2 * draw.next() - 1) * bound),
    );
    factors.set(factorOf(site.name, 'B'), new Float32Array(site.out * options.rank));
  }
  return factors;
}

/**
 * Plain weights W + (alpha/rank)·B·A. Matrices with an adapter are new; all others are the ones given, shared. Sums run in
 * float64 and are rounded once.
 */
export function mergeAdapters(
  parameters: Parameters,
  { rank, alpha }: Pick<LoraOptions, 'rank' | 'alpha'>,
): Parameters {
  const merged: Parameters = new Map();
  for (const [name, w] of parameters) {
    if (isFactor(name)) continue;
    const a = parameters.get(factorOf(name, 'A'));
    merged.set(
      name,
      a === undefined ? w : mergeOne(w, a, parameter(parameters, factorOf(name, 'B')), alpha / rank),
    );
  }
  return merged;
}

function mergeOne(w: Float32Array, a: Float32Array, b: Float32Array, factor: number): Float32Array {
  // [out, in] = [out, rank]·[rank, in]: the rank follows from the sizes, and may differ from matrix to matrix
  const rank = Math.round(Math.sqrt((a.length * b.length) / w.length));
  const inner = a.length / rank;
  const out = w.slice();
  const row = new Float64Array(inner);
  for (let o = 0; o < w.length / inner; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const share = factor * b[o * rank + r];
      for (let i = 0; i < inner; i++) row[i] = row[i] + share * a[r * inner + i];
    }
    for (let i = 0; i < inner; i++) out[o * inner + i] = w[o * inner + i] + row[i];
  }
  return out;
}
