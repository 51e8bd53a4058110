/** @file Interventions: patches for experiments, documents for everyone, and proof that they did something. */
export { additiveVectors, writeControlVector, writeDirections } from './additive.ts';
export { type AppliedIntervention, applyIntervention } from './apply.ts';
export { divergencesFromFirst, klDivergence, measureEffect } from './effect.ts';
export { importedDocument, importVectors } from './imported.ts';
export { movedDocument } from './moved.ts';
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
export { type ModelName, modelsOf, type Resolvers } from './resolvers.ts';
export type { PromptInput, PromptTokens } from './select.ts';
export { sideBySide } from './side-by-side.ts';
export { steeringDocument } from './steering-file.ts';
export { atStrength, valuesOf, withRandomVectors, withVectorsInline } from './strength.ts';
export {
  readVectorFolder,
  type VectorFolder,
  vectorDocument,
  writeVectorFolder,
  writtenHooks,
} from './vector-folder.ts';
export { activationScores, firesOn, highestComponent, holdsTexts, textOf } from './when.ts';
