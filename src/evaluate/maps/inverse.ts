/** @file The inverses of an affine map as maps B→A: fitted, and measured like any map (docs/concepts/method.md#inverses). */
import type { PairedText } from '../../activations/index.ts';
import { swapPairs } from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import type { MapFigures } from '../../contracts/index.ts';
import {
  type ActivationMap,
  type FitContext,
  type FitData,
  fitMap,
  pseudoInverseMap,
  reverseRidge,
  TRUNCATE_RTOL,
  unregularisedAffine,
} from '../../maps/index.ts';
import { type MapFiguresOptions, mapFigures } from './figures.ts';

/** Keys as in `results.json`. */
export type InverseMethod = 'pinv' | 'truncated' | 'reverse_ridge';

/**
 * The inverses B→A. `data` and `context` are those of the fit A→B. `of` is the affine map to invert; by default the unregularised one of
 * the same rows, since a ridge-shrunk inverse overshoots.
 */
export async function inverseMaps(
  methods: readonly InverseMethod[],
  data: FitData,
  context: FitContext,
  options: { readonly of?: ActivationMap; readonly rtol?: number; readonly lambdas?: readonly number[] } = {},
): Promise<Partial<Record<InverseMethod, ActivationMap>>> {
  const { of, rtol = TRUNCATE_RTOL, lambdas } = options;
  const out: Partial<Record<InverseMethod, ActivationMap>> = {};
  let forward = of;
  for (const method of methods) {
    if (method === 'reverse_ridge') out[method] = await reverseRidge(data, context, lambdas);
    else {
      forward ??= await unregularisedAffine(data, context);
      out[method] = pseudoInverseMap(forward, method === 'truncated' ? rtol : undefined);
    }
  }
  return out;
}

/** A `token-mean` of A on the same rows, which {@link inverseFigures} needs: E[x|token of A]. */
export function sourceTokenMean(data: FitData, context: FitContext): Promise<ActivationMap> {
  return fitMap(
    { kind: 'token-mean' },
    { train: swapPairs(data.train), validation: swapPairs(data.validation) },
    {
      ...context,
      source: context.target,
      target: context.source,
      sourceTokenizer: context.targetTokenizer,
      targetTokenizer: context.sourceTokenizer,
    },
  );
}

/**
 * Figures of maps B→A: {@link mapFigures} with the models exchanged. `source` and `target` are A and B as everywhere; `texts` must be
 * paired from B to A (`swapTexts` for one tokenizer, else `pairText` with the tokenizers exchanged).
 */
export function inverseFigures(options: MapFiguresOptions): Promise<Record<string, MapFigures>> {
  return mapFigures({ ...options, source: options.target, target: options.source });
}

/** The same texts seen from B, for models of one tokenizer (token i pairs with token i); throws `InputError` for aligned ones. */
export function swapTexts<T extends PairedText>(texts: readonly T[]): T[] {
  return texts.map((text) => {
    if (text.alignment !== undefined)
      throw new InputError(
        `inverse: text ${text.id} is aligned between two tokenizers; pair it again with the tokenizers exchanged`,
        { id: 'map-mismatch' },
      );
    return { ...text, source: text.target, target: text.source };
  });
}
