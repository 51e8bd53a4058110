/** @file What most families share: sizes, rotary scaling, sliding windows. */
import { canonicalJson, InputError, showValue } from '../../base/index.ts';
import type { BlockConfig, ModelConfig, RopeConfig } from '../config.ts';
import type { ConfigReader } from './reader.ts';

/** Sizes every family names alike. What a file may leave out has the default of the family in transformers. */
export function readSizes(
  c: ConfigReader,
  defaults: {
    readonly heads?: number;
    readonly kvHeads?: number;
    readonly headDim?: number;
    readonly vocab?: number;
    readonly context?: number;
  } = {},
): Pick<
  ModelConfig,
  'vocabSize' | 'dModel' | 'nHeads' | 'nKvHeads' | 'headDim' | 'dMlp' | 'contextLength' | 'normEps'
> & { nLayers: number } {
  const dModel = c.size('hidden_size');
  const nHeads = c.size('num_attention_heads', defaults.heads);
  const nKvHeads = c.size('num_key_value_heads', defaults.kvHeads ?? nHeads);
  const headDim = c.size('head_dim', defaults.headDim ?? Math.floor(dModel / nHeads));
  const nLayers = c.size('num_hidden_layers');
  if (nHeads % nKvHeads !== 0)
    throw new InputError(`${c.where}: ${nHeads} heads cannot share ${nKvHeads} key/value heads evenly`, {
      id: 'model-unsupported',
    });
  if (headDim % 2 !== 0)
    throw new InputError(`${c.where}: head_dim must be even for rotary embeddings, got ${headDim}`, {
      id: 'model-unsupported',
    });
  if (nLayers > 1024)
    throw new InputError(`${c.where}: num_hidden_layers: wanted at most 1024, got ${nLayers}`, {
      id: 'model-unsupported',
    });
  return {
    nLayers,
    dModel,
    nHeads,
    nKvHeads,
    headDim,
    vocabSize: c.size('vocab_size', defaults.vocab),
    dMlp: c.size('intermediate_size'),
    contextLength: c.size('max_position_embeddings', defaults.context ?? 2048),
    normEps: c.positive('rms_norm_eps', 1e-6),
  };
}

/**
 * Rotary settings: `rope_theta` + `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5, where `kind`
 * selects one entry of a nested table). `thetaKey` is the old key of the base; where a file has both they must agree.
 */
export function readRope(
  c: ConfigReader,
  defaultTheta = 10_000,
  kind?: 'full_attention' | 'sliding_attention',
  thetaKey = 'rope_theta',
): RopeConfig {
  const parameters = c.nested('rope_parameters');
  const own = kind === undefined ? parameters : (parameters?.nested(kind) ?? parameters);
  // Only the blocks that see everything are scaled by transformers 4 files.
  const old = thetaKey === 'rope_theta' ? c.nested('rope_scaling') : undefined;
  const given = c.raw(thetaKey) === undefined ? old?.optional('rope_theta') : c.positive(thetaKey);
  const theta = own?.positive('rope_theta', given ?? defaultTheta) ?? given ?? defaultTheta;
  if (given !== undefined && given !== theta)
    throw new InputError(`${c.where}: ${thetaKey} is ${given}, rope_parameters say ${theta}`, {
      id: 'model-unsupported',
    });
  if ((old?.optional('rope_theta') ?? theta) !== theta)
    throw new InputError(
      `${c.where}: rope_scaling says rope_theta ${showValue(old?.raw('rope_theta'))}, elsewhere it is ${theta}`,
      { id: 'model-unsupported' },
    );
  const [scaling, former] = [own, old].map((s) => (s === undefined ? undefined : readScaling(s)));
  if (scaling !== undefined && former !== undefined && canonicalJson(scaling) !== canonicalJson(former))
    throw new InputError(
      `${c.where}: rope_scaling says ${showValue(c.raw('rope_scaling'))}, rope_parameters say ${showValue(c.raw('rope_parameters'))}; take the one the model was trained with out of the file`,
      { id: 'model-unsupported' },
    );
  return { theta, scaling: scaling ?? former ?? { kind: 'none' } };
}

function readScaling(s: ConfigReader): RopeConfig['scaling'] {
  const legacy = s.raw('type');
  const type = s.raw('rope_type') ?? legacy ?? 'default';
  // A rotary embedding of part of each head is not what we compute.
  s.mustBe('partial_rotary_factor', 1);
  if (type === 'default') {
    s.done();
    return { kind: 'none' };
  }
  if (type === 'linear') {
    const factor = s.positive('factor');
    s.done();
    return { kind: 'linear', factor };
  }
  if (type === 'llama3') {
    const scaling = {
      kind: 'llama3',
      factor: s.positive('factor'),
      lowFreqFactor: s.positive('low_freq_factor'),
      highFreqFactor: s.positive('high_freq_factor'),
      originalContext: s.size('original_max_position_embeddings'),
    } as const;
    s.done();
    if (scaling.highFreqFactor <= scaling.lowFreqFactor)
      throw new InputError(`${s.where}: high_freq_factor must exceed low_freq_factor`, {
        id: 'model-unsupported',
      });
    return scaling;
  }
  throw new InputError(
    `${s.where}: rope_type ${showValue(type)} is not supported; supported are default, linear, llama3`,
    { id: 'model-unsupported' },
  );
}

/** What blocks see, for {@link readBlocks}. */
interface AttentionKinds {
  readonly full: RopeConfig;
  /** Defaults to `full`. */
  readonly sliding?: RopeConfig;
  /** Of the sliding ones. */
  readonly window?: number | undefined;
  /** Whether a layer slides when the file does not say. Defaults to none. */
  readonly slides?: (layer: number) => boolean;
}

/** One block config a layer from `layer_types`, or from `slides` when the file has none. */
export function readBlocks(
  c: ConfigReader,
  nLayers: number,
  { full, sliding = full, window, slides = () => false }: AttentionKinds,
): BlockConfig[] {
  const types = c.strings('layer_types', nLayers);
  return Array.from({ length: nLayers }, (_, i) => {
    const type = types?.[i] ?? (slides(i) ? 'sliding_attention' : 'full_attention');
    if (type === 'full_attention') return { rope: full };
    if (type !== 'sliding_attention')
      throw new InputError(`${c.where}: layer_types[${i}] ${showValue(type)} is not supported`, {
        id: 'model-unsupported',
      });
    if (window === undefined)
      throw new InputError(`${c.where}: block ${i} is sliding_attention, but sliding_window is not given`, {
        id: 'model-unsupported',
      });
    return { rope: sliding, window };
  });
}
