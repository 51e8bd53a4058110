export {
  ARITHMETICS,
  type Arithmetic,
  type ArithmeticFigures,
  type ArithmeticGuardSettings,
  arithmeticGuardSettings,
} from './arithmetic.ts';
export {
  type BehaviourParams,
  behaviourOf,
  behaviourParams,
  chatSettings,
  usesBundled,
} from './behaviour-params.ts';
export { type SheetKey, type SheetRow, sheetKeySchema, sheetRowSchema } from './calibration.ts';
export {
  CAPABILITY_TASKS,
  type CapabilityTask,
  TASK_SCORES,
  type TaskScore,
} from './capability-tasks.ts';
export type {
  DetectorParams,
  DetectorSettings,
} from './detector-settings.ts';
export { type LlmJudgeSettings, llmJudgeSettings } from './endpoint-settings.ts';
export {
  type EngineParams,
  type EngineRecord,
  type EngineSettings,
  engineParams,
  engineRecord,
} from './engine-settings.ts';
export { dotted, nearest } from './explain.ts';
export {
  FLEET_CONTROLS,
  type Fleet,
  type FleetBehaviour,
  type FleetControl,
  type FleetTarget,
  fleetSchema,
} from './fleet.ts';
export { isFleet, type ParsedFleet, type ParsedTarget, parseFleet } from './fleet-document.ts';
export {
  type Intervention,
  type InterventionDocument,
  type InterventionDocumentInput,
  type InterventionEffect,
  type InterventionInput,
  type InterventionWhen,
  interventionJsonSchema,
  parseIntervention,
  type TokenMatch,
  type TokenSelection,
  type VectorSource,
} from './intervention.ts';
export { type ItemRow, itemRowSchema } from './item-rows.ts';
export {
  type Manifest,
  type ManifestData,
  type ManifestModel,
  type ManifestStage,
  manifestSchema,
} from './manifest.ts';
export { type OnnxJudgeParams, onnxJudgeParams, onnxJudgeSettings } from './onnx-judge-settings.ts';
export {
  cleanOf,
  type MapSettings,
  mapLabel,
  mapSettingsSchema,
  type Recipe,
  type RecipeInput,
  recipeJsonSchema,
  recipeSchema,
  TEMPLATES,
} from './recipe.ts';
export { type ParsedRecipe, parseRecipe, recipeExtends } from './recipe-document.ts';
export { issueLine, RecipeError, type RecipeIssue } from './recipe-error.ts';
export {
  type FieldValue,
  type RecipeField,
  recipeFields,
  recipeKeys,
  setRecipeKey,
  writtenKeys,
} from './recipe-form.ts';
export { limitRecipe } from './recipe-pools.ts';
export {
  type BlockPairsSettings,
  blockPairsSettings,
  type CapabilitySettings,
  capabilitySettings,
  captureSettings,
  type EvaluationSettings,
  evaluationSettings,
  type FidelitySettings,
  fidelitySettings,
  INVERSE_METHODS,
  inverseSettings,
  JUDGES,
  type Judge,
  type RepairSettings,
  type SweepSettings,
  seedSetting,
  spanSettings,
  sweepSettings,
  type TransferSettings,
  transferSettings,
  type WorthSettings,
  worthSettings,
} from './recipe-sections.ts';
export { dataSchema, finetuneFor, promptFiles } from './recipe-training.ts';
export type { RecipeSource } from './recipe-yaml.ts';
export {
  COST_STATES,
  type CostState,
  MAP_FITS,
  type MapFit,
  NOISE_ARMS,
  type NoiseArm,
  SWEEP_CONTROLS,
  type SweepControl,
  TRANSFER_ARMS,
  type TransferArm,
  VERSUS,
  WEIGHTS_FORMS,
} from './result-names.ts';
export {
  type Asked,
  type BackdoorResults,
  type BehaviourResults,
  type BlockPairs,
  type FidelityScores,
  type Figure,
  figureValue,
  type Heatmap,
  type InverseEntry,
  type MapCurves,
  type MapEntry,
  type MapFigures,
  type Outcome,
  type Rate,
  type Results,
  resultsSchema,
  type StateEffect,
  type SweepRow,
  stableResults,
  type TransferEntry,
  type UntaggedEntry,
  type Versus,
  type WorthRow,
} from './results.ts';
export { type Sample, sampleSchema } from './samples.ts';
export { USE_DOCUMENTS, type UseGuide, useGuideSchema } from './use-guide.ts';
export {
  type DoseCost,
  type DoseLora,
  type DosePoint,
  type DoseReport,
  type RefusalReport,
  type Separability,
  VECTOR_METHODS,
  VECTOR_POSITIONS,
  type VectorBlock,
  type VectorMethod,
  type VectorPosition,
  type VectorRecord,
  vectorRecordSchema,
} from './vector.ts';
export {
  type DoseLoraSettings,
  type DoseSettings,
  doseLoraSettings,
  doseSettings,
  type VectorSettings,
  vectorSettings,
} from './vector-settings.ts';
