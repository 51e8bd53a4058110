/** @file `fitMap`: two models and texts in, a map between their residual streams and its held-out figures out. */
import { tmpdir } from 'node:os';
import { InputError, type ProgressSink, silent } from '../base/index.ts';
import {
  type MapFigures,
  type MapSettings,
  mapSettingsSchema,
  type Rate,
  recipeSchema,
} from '../contracts/index.ts';
import { experimentEnv, figureGroups, fitMaps, MapWork, mapTexts, measureMaps } from '../evaluate/index.ts';
import type { ActivationMap, FitSettings } from '../maps/index.ts';
import type { LanguageModel } from '../models/index.ts';

/** One end of a map: the residual stream [D] after `block` (0-based) of `model`. */
export interface MapSide {
  readonly model: LanguageModel;
  readonly block: number;
}

/** Options of {@link fitMap}. */
export interface FitMapOptions {
  /** Where activations are read. */
  readonly source: MapSide;
  /** Where mapped activations belong. */
  readonly target: MapSide;
  /** Both models read them; tokens are paired by position or, between different tokenizers, by the characters they cover. */
  readonly texts: readonly string[];
  /**
   * A kind of map (`affine`, `affine-sgd`, `autoencoder`, `mean`, `token-mean`, `identity`, `random`), or a kind with its settings as
   * under `maps` of an experiment file. Defaults to `affine`: ridge regression in closed form.
   */
  readonly kind?: FitSettings['kind'] | FitSettings;
  /** Texts run through the target on mapped activations, for `kl_div`, `top1_agreement` and `ce_delta`. Defaults to 0: none. */
  readonly forced?: number;
  /** Decides the split of the texts and every draw. Defaults to 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
}

/** What {@link fitMap} gives. */
export interface FitMapResult {
  /** `map.apply(rows, n)`: float32 [n, D of source] → [n, D of target]. */
  readonly map: ActivationMap;
  /** Figures on texts that no fit has seen, each with the number of texts and a 95 % interval (bootstrap over texts). */
  readonly test: { readonly [name in keyof MapFigures]?: Rate };
}

/**
 * Fit a map from one model's residual stream to another's. Texts are split 8 : 1 : 1 into those fitted on, those that choose the ridge
 * strength, and those measured on. The same texts and seed give the same bytes. Both models stay open.
 *
 * @throws InputError for a block that a model does not have, too few texts, or settings that the kind does not have
 * @example
 * const { map, test } = await fitMap({ source: { model: small, block: 2 }, target: { model: large, block: 3 }, texts });
 * console.log(test.fvu?.value); // share of the target's variance that is left unexplained
 */
export async function fitMap(options: FitMapOptions): Promise<FitMapResult> {
  const {
    source,
    target,
    texts,
    kind = 'affine',
    forced = 0,
    signal = new AbortController().signal,
  } = options;
  for (const [side, { model, block }] of Object.entries({ source, target }))
    if (!Number.isInteger(block) || block < 0 || block >= model.nLayers)
      throw new InputError(`${side}.block ${block}: wanted a block of the model, 0…${model.nLayers - 1}`, {
        id: 'block-unknown',
      });
  const settings = settingsOf(kind);
  const { seed: defaultSeed, capture, evaluation } = defaults();
  const { seed = defaultSeed, onProgress: progress = silent } = options;
  const env = experimentEnv('maps', { seed, progress, signal });
  const reading = { ...capture, forced, bootstrap: evaluation.bootstrap };
  const split = mapTexts(
    { rows: [], general: texts },
    { after: 0, splits: capture.splits, general_splits: capture.splits, out_of_domain: 0 },
    { source: source.model.tokenizer, target: target.model.tokenizer },
    env.rng,
  );
  const pair = {
    source: source.model,
    target: target.model,
    clean: source.model,
    source_block: source.block,
    target_block: target.block,
  };
  if (split.general.test.length === 0 || split.general.validation.length === 0)
    throw new InputError(
      `texts: wanted at least 10 different ones, to fit, choose and measure on; got ${texts.length}`,
      { id: 'fit-impossible' },
    );
  await using work = await MapWork.open({
    pair,
    texts: split,
    reading,
    env,
    storage: { scratch: tmpdir() },
  });
  const [fitted] = await fitMaps(work, [settings]);
  if (fitted === undefined) throw new InputError('kind: no map was fitted', { id: 'setting-invalid' });
  const { map } = fitted;
  const { test } = figureGroups(split);
  const figures = await measureMaps({ ...pair, groups: { test: { ...test } }, maps: { map }, reading, env });
  const withIntervals = Object.entries(figures.map?.test?.safe ?? {}).filter(
    ([, f]) => typeof f === 'object',
  );
  return { map, test: Object.fromEntries(withIntervals) };
}

function settingsOf(kind: NonNullable<FitMapOptions['kind']>): MapSettings {
  const given = typeof kind === 'string' ? { kind } : kind;
  const parsed = mapSettingsSchema.safeParse({ ...given, fits: ['general'] });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InputError(`kind: ${[...(issue?.path ?? []), issue?.message].join(': ')}`, {
    id: 'setting-invalid',
  });
}

/** What an experiment file that says nothing gets. */
function defaults(): ReturnType<typeof recipeSchema.parse> {
  return recipeSchema.parse({ models: { source: 'source', target: 'target' } });
}
