/** @file Interventions: patches for experiments, documents for everyone, and proof that they did something. */
export { type AppliedIntervention, type ApplyOptions, applyIntervention } from './apply.ts';
export { klDivergence, measureEffect } from './effect.ts';
export { norm } from './ops.ts';
export {
  type CaptureRow,
  captureResiduals,
  checkPatch,
  type Patch,
  type PatchMode,
  type PatchPlan,
  patchHooks,
  writePatch,
} from './patch.ts';
export { type PromptTokens, promptTokens, type SelectedTokens, selectTokens } from './select.ts';
export { readSteeringVectors, readVector, steeringDocument, type VectorTensor } from './steering-file.ts';
export type { Resolvers, RowMap } from './vectors.ts';
