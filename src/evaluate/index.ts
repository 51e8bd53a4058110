/**
 * @file What is measured, on models and maps: subjects, arms, sweep, transfer, fidelity, cost, and the figures of maps. One assembly per
 * experiment, for the stage and the command. Knows no run folders, no CLI.
 */

export type { BackdoorFigures } from './arms/backdoor.ts';
export { draftsOf } from './arms/run.ts';
export { sourceRow, spansAfter } from './arms/spans.ts';
export {
  BAKE_ARMS,
  type BakeArm,
  type KindFigures,
  kindFigures,
  type Reading,
  readLessons,
} from './bake/figures.ts';
export { type BakePrompt, holdOut, type Lesson, teach } from './bake/teach.ts';
export { blockPairs } from './block-pairs/block-pairs.ts';
export type { CostItem } from './cost/capabilities.ts';
export { COST_RUNS } from './cost/states.ts';
export { readClassifierFiles } from './detect/classifier-files.ts';
export type { JudgedCase } from './detect/detector.ts';
export { type OpenDetector, openDetector } from './detect/open.ts';
export { decodePatched, type EndRules, type GappedDraft } from './drafts/decode.ts';
export {
  type DraftStats,
  draftAcceptance,
  NEAR_TIE,
  noStats,
  type PatchedOutcome,
  runDrafted,
} from './drafts/run.ts';
export { apiKeyOf } from './endpoint/api-key.ts';
export { type ExperimentEnv, experimentEnv } from './env.ts';
export { type FidelityResult, fidelity, fidelityFigures, fidelityRows } from './fidelity/fidelity.ts';
export { fidelityPrompts } from './fidelity/prompts.ts';
export type { FidelityRow } from './fidelity/row.ts';
export { type JudgeScores, joinScores, judgeRows, ROWS_JUDGED_AT_ONCE } from './fidelity/scores.ts';
export { type Calibration, calibrate, type Rater } from './judges/calibration.ts';
export { type Judge, type JudgeUsage, judgeCost, llmJudge, openAiJudge } from './judges/index.ts';
export { locateOnnxJudge, openOnnxJudges } from './judges/onnx.ts';
export { ratingRules } from './judges/rating-rules.ts';
export { drawSheet, judgedPairs } from './judges/sheet.ts';

export { fitCaptures } from './mapping/captures.ts';
export { type FittedMap, figureGroups, fitMaps, mapEntry, measureMaps, tokenMeanOf } from './mapping/fit.ts';
export { type InverseMap, inverseEntry, invertMaps } from './mapping/invert.ts';
export { EMBEDDING, type MapReading, mapEnd } from './mapping/pair.ts';
export { ROW_SIDES, type RowSide, textsOf, wantedSets } from './mapping/row-sets.ts';
export { captureSide } from './mapping/rows.ts';
export { type MapTexts, mapTexts } from './mapping/texts.ts';
export { MapWork } from './mapping/work.ts';
export type { InverseMethod } from './maps/inverse.ts';
export { type ProbeEvent, type ProbeProof, probe } from './probe/probe.ts';
export { PROBE_ARMS, PROBE_OPS, type ProbeArm, type ProbeQuestion } from './probe/question.ts';
export {
  SCAN_SOURCES,
  type ScanCandidate,
  type ScanInput,
  type ScanResult,
  type ScanSettings,
  type ScanSource,
  scan,
} from './scan/scan.ts';
export { WORD_FORMS } from './scan/words.ts';
export { ServedGenerator } from './served/generator.ts';
export { openServed } from './served/server.ts';
export {
  STEER_ARMS,
  STEER_PLACES,
  type SteerArm,
  type SteerPlace,
  type SteerQuestion,
  type SteerSite,
  steerEdit,
} from './steering/question.ts';
export { type SteerAnswer, type SteerEvent, type SteerProof, steering } from './steering/steering.ts';
export { type Accuracy, type AccuracyChange, accuracy, accuracyChange } from './subject/answers.ts';
export { type ContrastCase, contrastCases } from './subject/cases.ts';
export { chatOf, specialTokensOf } from './subject/chat.ts';
export { type Case, completeCases, withCompletions } from './subject/completions.ts';
export {
  type Asking,
  casesOf,
  completeUnpatched,
  liveSubject,
  subjectFrom,
  thresholdOf,
} from './subject/make.ts';
export type { Subject } from './subject/subject.ts';
export { type TemplatedPrompt, templatedPrompt } from './subject/templated.ts';
export { type Located, locate } from './suspect/locate.ts';
export {
  type Asked,
  type Finding,
  type SuspectInput,
  type SuspectResult,
  type SuspectSettings,
  suspect,
} from './suspect/suspect.ts';
export {
  type SweepInput,
  type SweptBlocks,
  type SweptRun,
  sweepBlocks,
} from './sweep/blocks.ts';
export { type BlockChoice, sweep } from './sweep/sweep.ts';
export { askItems, type SteerItems } from './tasks/run.ts';
export { type ScoredItem, taskRates } from './tasks/score.ts';
export { taskInState } from './tasks/states.ts';
export { locateTextModel } from './text-model/place.ts';
export { type TransferResult, transferExperiment, transferResult } from './transfer/experiment.ts';
export type { TransferInput } from './transfer/input.ts';
export { type InverseSteering, steerByInverses } from './transfer/inverse.ts';
export { doneJobs, type JobDone, joinJobs } from './transfer/jobs.ts';
export { labelledPrompts, type PreparedTransfer, prepareMaps, runTransfer } from './transfer/maps.ts';
export { askedFor, type RepairRow, type RepairText, repair } from './transfer/repair.ts';
export { spansFrom, spanTensors } from './transfer/stored.ts';
export { carriedRecord, carryVector, needsRows, vectorForMap } from './vectors/carry.ts';
export {
  type ContrastReading,
  type ContrastSet,
  contrastHash,
  listSet,
  pairSet,
  type ReadPrompt,
  readText,
} from './vectors/contrast.ts';
export type { RowMethod } from './vectors/directions.ts';
export { type DoseInput, type DoseResult, doseCurve } from './vectors/dose.ts';
export { checkLora, type LoraInput } from './vectors/lora.ts';
export {
  type ContrastSplit,
  type SteeringVectors,
  splitContrasts,
  steeringVectors,
  VECTOR_UNIT,
} from './vectors/make.ts';
export { type RefusalVectors, refusalVectors } from './vectors/refusal.ts';
export { tokenRows } from './vectors/rows.ts';
export { WHEN_POSITIONS, type WhenBlock, type WhenPosition } from './when/condition.ts';
export { CONDITIONS, type ConditionName, type WhenFigures } from './when/measure.ts';
export { type OfKinds, WHEN_KINDS, type WhenKind } from './when/parts.ts';
export { type WhenResult, whenItFires } from './when/when.ts';
