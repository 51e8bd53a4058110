/**
 * @file Inverses of affine maps, as maps B→A (the blog's Fig. 13-14): A†(y) = W⁺(y − b) by the full or a truncated pseudo-inverse, and
 * a ridge fitted in the other direction. Invert an unregularised or SGD map: a ridge-shrunk one overshoots.
 */
import { defined, InputError } from '../base/index.ts';
import { affineOf, bestRidge, LAMBDAS } from './affine.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import { makeMap } from './kinds.ts';
import { biasThroughMeans, type Gram, matmul, pseudoInverse, ridge } from './linalg.ts';
import { ActivationMap } from './map.ts';
import { momentsOf } from './moments.ts';

/** Largest singular value times this is the least one `truncated` keeps. */
export const TRUNCATE_RTOL = 0.05;

/** Rounding of the float32 numbers a map is stored in: singular values below max(m, n) × this × the largest are nothing else. */
const STORED = 2 ** -23;

/** A†(y) = W⁺(y − b). With `rtol` (`truncated`) singular values at or below rtol × the largest are dropped. Settings show the rank kept. */
export function pseudoInverseMap(map: ActivationMap, rtol?: number): ActivationMap {
  const { weight, bias } = map.body.tensors;
  if (weight === undefined || bias === undefined)
    throw new InputError(`inverse: wanted an affine map, got ${map.kind}`, { id: 'map-mismatch' });
  const from = performance.now();
  const [dy, dx] = weight.shape as [number, number];
  const least = rtol ?? Math.max(dy, dx) * STORED;
  const { matrix, rank } = pseudoInverse(Float64Array.from(weight.data), dy, dx, least);
  const offset = matmul(matrix, Float64Array.from(bias.data), dx, dy, 1).map((v) => -v);
  const { record } = map;
  const seconds = (performance.now() - from) / 1000;
  const swapped = {
    ...record,
    kind: rtol === undefined ? ('pinv' as const) : ('truncated' as const),
    source: record.target,
    target: record.source,
    sourceTokenizer: record.targetTokenizer,
    targetTokenizer: record.sourceTokenizer,
    fitSeconds: record.fitSeconds + seconds,
    settings: defined({ of: record.kind, rank, rtol }),
    metrics: {},
  };
  const { curves: _, ...plain } = swapped;
  // f(x̄) is where the fit's mean source row went.
  const sourceMean = map.apply(map.sourceMean, 1);
  return new ActivationMap(plain, affineOf({ weight: matrix, bias: offset }, dy, dx), sourceMean);
}

/** The unregularised affine map of the same rows, fit to be inverted. */
export async function unregularisedAffine(data: FitData, context: FitContext): Promise<ActivationMap> {
  const { gram, seconds } = await momentsOf(data.train, leftOut(context.fit), context);
  const [fit] = ridge(gram, [0]);
  if (fit === undefined) throw new InputError('inverse: no fit', { id: 'map-mismatch' });
  return makeMap(
    'affine',
    { body: affineOf(fit, gram.dx, gram.dy), rows: gram.count, seconds, settings: { lambda: 0 } },
    context,
    Float32Array.from(gram.meanX),
  );
}

/** Ridge B→A on the rows of the fit A→B; `context` is the one of A→B. */
export async function reverseRidge(
  data: FitData,
  context: FitContext,
  lambdas: readonly number[] = LAMBDAS,
): Promise<ActivationMap> {
  const leaveOut = leftOut(context.fit);
  const train = await momentsOf(data.train, leaveOut, context);
  const validation = await momentsOf(data.validation, leaveOut, context);
  const from = performance.now();
  const gram: Gram = train.gram.swapped();
  const { best, error } = bestRidge(gram, validation.gram.swapped(), lambdas);
  const fitted: Fitted = {
    body: affineOf({ weight: best.weight, bias: biasThroughMeans(best.weight, gram) }, gram.dx, gram.dy),
    rows: gram.count,
    seconds: train.seconds + validation.seconds + (performance.now() - from) / 1000,
    settings: { lambda: best.lambda },
    metrics: { mse: error.mse, fvu: error.fvu },
  };
  const back: FitContext = {
    ...context,
    source: context.target,
    target: context.source,
    sourceTokenizer: context.targetTokenizer,
    targetTokenizer: context.sourceTokenizer,
  };
  return makeMap('reverse_ridge', fitted, back, Float32Array.from(gram.meanX));
}
