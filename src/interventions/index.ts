/** @file Interventions: patches for experiments, documents for everyone, and proof that they did something. */
export { type AppliedIntervention, applyIntervention } from './apply.ts';
export { klDivergence, measureEffect } from './effect.ts';
export { norm } from './ops.ts';
export {
  captureResiduals,
  checkPatch,
  type Patch,
  type PatchMode,
  type PatchPlan,
  patchHooks,
  writePatch,
} from './patch.ts';
export type { Resolvers } from './resolvers.ts';
export type { PromptInput, PromptTokens } from './select.ts';
export { steeringDocument } from './steering-file.ts';
export {
  readVectorFolder,
  type VectorFolder,
  vectorDocument,
  writeVectorFolder,
  writtenHooks,
} from './vector-folder.ts';
