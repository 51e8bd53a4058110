/** @file Maps between the activation spaces of two models: fitted, saved, inverted, exported. Knows no experiments. */

export { rowFigures } from './figures.ts';
export type { FitContext, FitData } from './fit.ts';

export { pseudoInverseMap, reverseRidge, TRUNCATE_RTOL, unregularisedAffine } from './inverse.ts';
export { type FitSettings, fitMap } from './kinds.ts';

export {
  type AffineFit,
  cholesky,
  Gram,
  type MatmulTN,
  ridge,
  solveCholesky,
  symmetricEigen,
} from './linalg.ts';
export { ActivationMap, type MapBody, type MapEnd } from './map.ts';

export { float64Products } from './moments.ts';
export { exportOnnx } from './onnx.ts';
export { exportSaelens } from './saelens.ts';
export { loadMap, MAP_TIMES, saveMap } from './store.ts';
