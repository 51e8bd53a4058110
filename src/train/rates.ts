/**
 * @file Learning rate by place: in small models the place of the high rates decides where fine-tuning puts what it teaches,
 * and with it the shape of every sweep (docs/concepts/method.md#fine-tuning).
 */
import { InputError } from '../base/index.ts';
import { EMBED, FINAL_NORM, HEAD, type ModelConfig } from '../models/index.ts';
import { isFactor } from './adapters.ts';

/** Factors on the learning rate; 0 freezes. What is not named keeps 1. */
export interface RateFactors {
  /** The embedding table; a tied head is the same table. */
  readonly embed?: number;
  /** The final norm and an untied head. */
  readonly head?: number;
  /** Blocks 0…⌊n/2⌋−1. */
  readonly lowerHalf?: number;
  /** Ranges of blocks, both ends included; a later entry wins, and over `lowerHalf`. */
  readonly blocks?: readonly { readonly from: number; readonly to: number; readonly factor: number }[];
}

/** Factor of every parameter of a model by name. With `adapters`, everything but adapter factors is frozen. */
export function rateOf(
  config: ModelConfig,
  rates: RateFactors,
  options: { readonly adapters?: boolean } = {},
): (name: string) => number {
  const n = config.blocks.length;
  const blocks = config.blocks.map((_, i) => (i < Math.floor(n / 2) ? (rates.lowerHalf ?? 1) : 1));
  for (const { from, to, factor } of rates.blocks ?? []) {
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to < n))
      throw new InputError(`rates: blocks ${from}…${to} are outside 0…${n - 1}`, { id: 'block-unknown' });
    blocks.fill(factor, from, to + 1);
  }
  for (const factor of [rates.embed ?? 1, rates.head ?? 1, ...blocks])
    if (!(factor >= 0))
      throw new InputError(`rates: wanted factors ≥ 0, got ${factor}`, { id: 'setting-invalid' });
  return (name) => {
    if (options.adapters === true && !isFactor(name)) return 0;
    if (name === EMBED) return rates.embed ?? 1;
    if (name === HEAD || name === FINAL_NORM) return rates.head ?? 1;
    return blocks[Number(/^model\.layers\.(\d+)\./.exec(name)?.[1])];
  };
}

/** Rates that train blocks `from`…`to` (both included) alone. */
export function onlyBlocks(config: ModelConfig, from: number, to: number): RateFactors {
  const last = config.blocks.length - 1;
  return {
    embed: 0,
    head: 0,
    blocks: [
      { from: 0, to: last, factor: 0 },
      { from, to, factor: 1 },
    ],
  };
}
