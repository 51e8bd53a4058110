/** @file Judges, sweeps, map figures, fidelity, transfer, cost: what is measured, on models and maps. Knows no files, no CLI. */
export {
  type ControlArm,
  type FidelityOptions,
  type FidelityPrompt,
  type FidelityResult,
  fidelity,
} from './fidelity.ts';
export { mappedReplacement, meanReplacement } from './fidelityArms.ts';
export {
  type InverseMethod,
  inverseFigures,
  inverseMaps,
  sourceTokenMean,
  swapTexts,
} from './inverse.ts';
export {
  LIKELIHOOD_METRIC,
  type LikelihoodCase,
  likelihoodDifferences,
} from './judges/likelihood.ts';
export { type MapFiguresOptions, mapFigures } from './mapFigures.ts';
