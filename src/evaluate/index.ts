/** @file Judges, sweeps, map figures, fidelity, transfer, cost: what is measured, on models and maps. Knows no files, no CLI. */

export { type BackdoorEvaluation, evaluateBackdoor } from './arms/backdoor.ts';
export {
  NOISE,
  type Noise,
  otherPrompt,
  randomDifference,
  randomLike,
  randomStep,
  SpanNoise,
} from './arms/controls.ts';
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
} from './arms/run.ts';
export { selfPatched } from './arms/self.ts';
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
} from './arms/spans.ts';
export {
  type CapabilityInput,
  type CapabilityItem,
  type CapabilityOptions,
  type CapabilityResult,
  capabilities,
} from './cost/capabilities.ts';
export { decodePatched, type EndRules, type GappedDraft } from './drafts/decode.ts';
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
} from './drafts/run.ts';
export { type ExperimentEnv, experimentEnv } from './env.ts';
export { mappedReplacement, meanReplacement } from './fidelity/arms.ts';
export {
  type ControlArm,
  type FidelityOptions,
  type FidelityPrompt,
  type FidelityResult,
  fidelity,
} from './fidelity/fidelity.ts';
export { fidelityPrompts } from './fidelity/prompts.ts';
export * from './judges/index.ts';
export {
  LIKELIHOOD_METRIC,
  type LikelihoodCase,
  likelihoodDifferences,
} from './judges/likelihood.ts';
export {
  type FigureGroups,
  type FittedMap,
  figureGroups,
  fitMaps,
  mapEntry,
  measureMaps,
  type SplitFigures,
  tokenMeanOf,
} from './mapping/fit.ts';
export { type InverseMap, inverseEntry, invertMaps } from './mapping/invert.ts';
export { type MapPair, type MapReading, type MapTexts, MapWork, mapEnd, mapTexts } from './mapping/work.ts';
export { type CurveEvaluatorOptions, curveEvaluator } from './maps/curves.ts';
export { type MapFiguresOptions, mapFigures } from './maps/figures.ts';
export {
  type InverseMethod,
  inverseFigures,
  inverseMaps,
  sourceTokenMean,
  swapTexts,
} from './maps/inverse.ts';
export { type Accuracy, type AccuracyChange, accuracy, accuracyChange } from './subject/answers.ts';
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
} from './subject/cases.ts';
export { restorationThreshold } from './subject/outcomes.ts';
export { type HeatmapOptions, heatmap } from './sweep/heatmap.ts';
export { type LogitContrast, logitContrasts, logitShift } from './sweep/logits.ts';
export { type BlockChoice, chooseBlock, type SweepOptions, type SweepResult, sweep } from './sweep/sweep.ts';
export { withOtherFits } from './transfer/margins.ts';
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
} from './transfer/transfer.ts';
export { stripTrigger, worth } from './transfer/worth.ts';
