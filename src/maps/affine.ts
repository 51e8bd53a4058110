/** @file `affine`: ŷ = W x + b by ridge regression in closed form, its strength chosen on validation rows (docs/concepts/method.md#maps). */
import type { PairSource } from '../activations/index.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import { type AffineFit, affineError, type Gram, ridge } from './linalg.ts';
import type { MapBody, MapTensor } from './map.ts';
import { momentsOf } from './moments.ts';
import { linearRows } from './rows.ts';

/** Settings of the kind. */
export interface AffineSettings {
  readonly kind: 'affine';
  /** Ridge strengths tried. Defaults to 0 and 1e-6 … 1e-1. */
  readonly lambdas?: readonly number[] | undefined;
}

/** The defaults of {@link AffineSettings}. */
export const LAMBDAS: readonly number[] = [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];

/** ŷ = W x + b from `weight` [dt,ds] and `bias` [dt]. */
export function affineBody(tensors: Readonly<Record<string, MapTensor>>): MapBody {
  const { weight, bias } = tensors as { weight: MapTensor; bias: MapTensor };
  const [dy, dx] = weight.shape as [number, number];
  return {
    tensors: { weight, bias },
    parameters: weight.data.length + bias.data.length,
    apply: (rows, n) => linearRows(rows, n, weight.data, bias.data, dx, dy),
  };
}

/** A body from float64 W [dy×dx] and b [dy]. */
export function affineOf(fit: Pick<AffineFit, 'weight' | 'bias'>, dx: number, dy: number): MapBody {
  return affineBody({
    weight: { shape: [dy, dx], data: Float32Array.from(fit.weight) },
    bias: { shape: [dy], data: Float32Array.from(fit.bias) },
  });
}

export async function fitAffine(
  data: FitData,
  settings: AffineSettings,
  context: FitContext,
): Promise<Fitted> {
  return ridgeOn(data.train, data.validation, settings.lambdas ?? LAMBDAS, context);
}

/** Fit on one source, choose λ on another. */
export async function ridgeOn(
  train: PairSource,
  validation: PairSource,
  lambdas: readonly number[],
  context: FitContext,
): Promise<Fitted> {
  const leaveOut = leftOut(context.fit);
  const fitOn = await momentsOf(train, leaveOut, context);
  const judgeOn = await momentsOf(validation, leaveOut, context);
  const from = performance.now();
  const { best, error } = bestRidge(fitOn.gram, judgeOn.gram, lambdas);
  return {
    body: affineOf(best, train.dx, train.dy),
    rows: fitOn.gram.count,
    seconds: fitOn.seconds + judgeOn.seconds + (performance.now() - from) / 1000,
    settings: { lambda: best.lambda },
    metrics: { mse: error.mse, fvu: error.fvu },
  };
}

/** The ridge fit whose error on `validation`, per-dimension-standardised, is least; of equals the larger λ. */
export function bestRidge(
  train: Gram,
  validation: Gram,
  lambdas: readonly number[],
): { best: AffineFit; error: ReturnType<typeof affineError> } {
  const tried = ridge(train, lambdas).map((fit) => ({ best: fit, error: affineError(fit, validation) }));
  return tried.reduce((a, b) =>
    b.error.standardised < a.error.standardised ||
    (b.error.standardised === a.error.standardised && b.best.lambda > a.best.lambda)
      ? b
      : a,
  );
}
