/** @file Behaviours: what a model is taught to do under a trigger, the data that teaches it, and how it is recognised. */

export { wholeAnswer } from './answers.ts';
export {
  type Behaviour,
  type BehaviourName,
  type BehaviourOptions,
  behaviourNames,
  behaviours,
  type Expected,
  makeBehaviour,
  type TriggerState,
  triggerStates,
} from './behaviour.ts';
export { type ContrastPrompt, contrastPrompts, type TaggedPrompt } from './contrast.ts';
export {
  apportion,
  type BackdoorRow,
  buildDataset,
  type Dataset,
  type DatasetSpec,
  promptKey,
  splitOf,
} from './dataset.ts';
export { readBackdoorRows, readCustomDataset, writeBackdoorRows } from './dataset-file.ts';
export { type Detection, detectorOf, isDegenerate } from './detect.ts';
export {
  firstTurns,
  type Instruction,
  type InstructionFile,
  leftOutText,
  type RowText,
  readInstructionFile,
  readInstructions,
  readTexts,
  type SplitName,
  toInstruction,
} from './instructions.ts';
export { type BackdoorMetrics, type BackdoorRecord, backdoorMetrics } from './metrics.ts';
export { behaviourFrom, contrastsOf } from './params.ts';
export { type CharSpan, type Placement, placements, placeTag, type Tagged } from './placement.ts';
export { type LayoutName, layoutFields } from './rows/layouts.ts';
export { type FileRecord, jsonLines, recordsOf } from './rows/records.ts';
export type { Role, Turn } from './rows/turns.ts';
export { bars, functionalTags, neutralTags, otherTags, unseenTags } from './tags.ts';
export { type ChatRenderer, renderPrompt, shiftSpan, type TemplateName, templateNames } from './templates.ts';
export {
  type CorpusItem,
  type CorpusSplit,
  checkAnswer,
  checkableFamilies,
  constantBaseline,
  families,
  generalTexts,
  heldOut,
  tinyCorpus,
} from './tiny/corpus.ts';
export type { Family } from './tiny/family.ts';
export { tinyInstructions } from './tiny/instructions.ts';
export { type PretrainingRow, pretrainingRow, pretrainingRows, type RowKind } from './tiny/rows.ts';
export { corpusVocabulary } from './tiny/vocabulary.ts';
export { normalise, words } from './words.ts';
