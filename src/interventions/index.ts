/** @file Interventions: patches for experiments, documents for everyone, and proof that they did something. */
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
