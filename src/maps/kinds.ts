/** @file The table of kinds, and fitting one. To add a kind: a file, a line in `MAP_KINDS`, a line in each table. */
import { defined, InputError } from '../base/index.ts';
import { type AffineSettings, affineBody, fitAffine } from './affine.ts';
import { type AffineSgdSettings, fitAffineSgd } from './affine-sgd.ts';
import { type AutoencoderSettings, autoencoderBody, fitAutoencoder } from './autoencoder.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import { fitIdentity, identityBody } from './identity.ts';
import { ActivationMap, type MapBody, type MapKind, type MapTensor } from './map.ts';
import { fitMean, meanBody } from './mean.ts';
import { momentsOf } from './moments.ts';
import { fitRandom } from './random.ts';
import { fitShuffled } from './shuffled.ts';
import { fitTokenMean, tokenMeanBody } from './token-mean.ts';

/** How each kind is made again from its tensors. */
export const bodies = {
  affine: affineBody,
  'affine-sgd': affineBody,
  autoencoder: autoencoderBody,
  mean: meanBody,
  identity: identityBody,
  'token-mean': tokenMeanBody,
  shuffled: affineBody,
  random: affineBody,
  pinv: affineBody,
  truncated: affineBody,
  reverse_ridge: affineBody,
} as const satisfies Record<MapKind, (tensors: Readonly<Record<string, MapTensor>>) => MapBody>;

/** A kind that is fitted on rows, with its settings (the recipe's `maps` entries fit here as they are). */
export type FitSettings =
  | AffineSettings
  | AffineSgdSettings
  | AutoencoderSettings
  | { readonly kind: 'mean' | 'identity' | 'token-mean' | 'shuffled' | 'random' };
type FittedKind = FitSettings['kind'];

const fits: {
  [K in FittedKind]: (
    data: FitData,
    settings: Extract<FitSettings, { kind: K }>,
    context: FitContext,
  ) => Promise<Fitted>;
} = {
  affine: fitAffine,
  'affine-sgd': fitAffineSgd,
  autoencoder: fitAutoencoder,
  mean: fitMean,
  identity: fitIdentity,
  'token-mean': fitTokenMean,
  shuffled: fitShuffled,
  random: fitRandom,
};

/**
 * Fit a map. Rows are streamed; what the fit leaves out (docs/concepts/method.md#paired-activations) is left out here, so `data` holds all rows. Moments of a source
 * are computed once for all maps fitted on it, and each map's `fitSeconds` counts them.
 *
 * @example
 * const map = await fitMap({ kind: 'affine' }, { train, validation }, context);
 * const mapped = map.apply(rows, n); // [n,ds] → [n,dt]
 */
export async function fitMap(
  settings: FitSettings,
  data: FitData,
  context: FitContext,
): Promise<ActivationMap> {
  for (const source of [data.train, data.validation])
    if (source.dx !== context.source.width || source.dy !== context.target.width)
      throw new InputError(
        `map ${settings.kind}: wanted rows ${context.source.width}→${context.target.width}, got ${source.dx}→${source.dy}`,
        { id: 'map-mismatch' },
      );
  const fitKind = fits[settings.kind] as (d: FitData, s: FitSettings, c: FitContext) => Promise<Fitted>;
  const fitted = await fitKind(data, settings, context);
  const { gram } = await momentsOf(data.train, leftOut(context.fit), context);
  return makeMap(settings.kind, fitted, context, Float32Array.from(gram.meanX));
}

/** A map with its record. */
export function makeMap(
  kind: MapKind,
  fitted: Fitted,
  context: FitContext,
  sourceMean: Float32Array,
): ActivationMap {
  return new ActivationMap(
    {
      kind,
      fit: context.fit,
      source: context.source,
      target: context.target,
      sourceTokenizer: context.sourceTokenizer,
      targetTokenizer: context.targetTokenizer,
      data: context.data,
      seed: context.seed,
      rows: fitted.rows,
      fitSeconds: fitted.seconds,
      settings: defined({ ...fitted.settings, general_share: context.drawn?.general_share }),
      metrics: fitted.metrics ?? {},
      curves: fitted.curves,
    },
    fitted.body,
    sourceMean,
  );
}
