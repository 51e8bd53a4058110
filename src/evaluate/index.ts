/** @file Judges, sweeps, map figures, fidelity, transfer, cost: what is measured, on models and maps. Knows no files, no CLI. */

export { type Accuracy, type AccuracyChange, accuracy, accuracyChange } from './answers.ts';
export { type BackdoorEvaluation, evaluateBackdoor } from './backdoor.ts';
export {
  type CapabilityInput,
  type CapabilityItem,
  type CapabilityOptions,
  type CapabilityResult,
  capabilities,
} from './capabilities.ts';
export {
  NOISE,
  type Noise,
  otherPrompt,
  randomDifference,
  randomLike,
  randomStep,
  SpanNoise,
} from './controls.ts';
export { selfPatched } from './controlsSelf.ts';
export {
  type Draft,
  type DraftOptions,
  type DraftRow,
  type DraftStats,
  draftAcceptance,
  NEAR_TIE,
  type PatchedOutcome,
  type PatchedRun,
  type Probe,
  runDrafted,
  runProbes,
} from './drafts.ts';
export { decodePatched, type EndRules, type GappedDraft } from './draftsDecode.ts';
export {
  type ControlArm,
  type FidelityOptions,
  type FidelityPrompt,
  type FidelityResult,
  fidelity,
} from './fidelity.ts';
export { mappedReplacement, meanReplacement } from './fidelityArms.ts';
export { type HeatmapOptions, heatmap } from './heatmap.ts';
export {
  type InverseMethod,
  inverseFigures,
  inverseMaps,
  sourceTokenMean,
  swapTexts,
} from './inverse.ts';
export * from './judges/index.ts';
export {
  LIKELIHOOD_METRIC,
  type LikelihoodCase,
  likelihoodDifferences,
} from './judges/likelihood.ts';
export { type MapFiguresOptions, mapFigures } from './mapFigures.ts';
export { type CurveEvaluatorOptions, curveEvaluator } from './mapFiguresCurves.ts';
export { restorationThreshold } from './outcomes.ts';
export { type BlockChoice, chooseBlock, type SweepOptions, type SweepResult, sweep } from './sweep.ts';
export {
  type ArmPatch,
  armSample,
  draftsOf,
  drawRate,
  type EvaluateOptions,
  endRules,
  runArms,
  type SampleTags,
  Tally,
  unpatchedSamples,
} from './sweepArms.ts';
export { type LogitContrast, logitContrasts, logitShift } from './sweepLogits.ts';
export {
  alignRows,
  type ContrastCase,
  completionText,
  contrastCases,
  type Direction,
  type Flags,
  type Judging,
  judgeRun,
  type RunEnd,
  restoredText,
  type StatePrompt,
  type StateRuns,
  type Subject,
  spanOf,
  spanPositions,
  surplusNotes,
  testedCases,
  unpatchedRuns,
} from './sweepPrompts.ts';
export {
  prepareTransfer,
  type SharedArms,
  type TransferData,
  type TransferMapOptions,
  type TransferMaps,
  type TransferOptions,
  type TransferResult,
  transferMap,
  transferShared,
} from './transfer.ts';
export {
  type BlockOf,
  type MapFn,
  mapRows,
  mapSpans,
  meanSpan,
  type StateSpans,
  sourceRow,
  sourceSpans,
  targetSpans,
} from './transferSpans.ts';
export { stripTrigger, worth } from './worth.ts';
