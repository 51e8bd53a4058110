/** @file Maps between the activation spaces of two models: fitted, saved, inverted, exported. Knows no experiments. */
export { type AffineSettings, bestRidge, LAMBDAS } from './affine.ts';
export type { AffineSgdSettings } from './affine-sgd.ts';
export { type AutoencoderSettings, hiddenWidth } from './autoencoder.ts';
export { rowFigures } from './figures.ts';
export { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
export { type GradientSettings, type Schedule, scheduleOf } from './gradient.ts';
export { pseudoInverseMap, reverseRidge, TRUNCATE_RTOL, unregularisedAffine } from './inverse.ts';
export { type FitSettings, fitMap, makeMap } from './kinds.ts';
export * from './linalg.ts';
export {
  ActivationMap,
  type ApplyContext,
  MAP_KINDS,
  type MapBody,
  type MapEnd,
  type MapKind,
  type MapRecord,
  type MapTensor,
} from './map.ts';
export { type Moments, momentsOf, type Watch } from './moments.ts';
export { exportSaelens } from './saelens.ts';
export { loadMap, MAP_TIMES, saveMap } from './store.ts';
