/** @file Behaviours: what a model is taught to do under a trigger, the data that teaches it, and how it is recognised. */

export { wholeAnswer } from './answers.ts';
export {
  type Behaviour,
  type BehaviourName,
  behaviourNames,
  makeBehaviour,
  type TriggerState,
  triggerStates,
} from './behaviour.ts';
export { type ContrastPrompt, contrastPrompts } from './contrast.ts';
export { contrastRows, readContrastPairs, splitPairs } from './contrast-pairs.ts';
export type { ContrastPair, ContrastText } from './contrast-text.ts';
export {
  type CustomRow,
  checkCustomRows,
  customDataset,
  holdsCustomRows,
  readCustomRows,
} from './custom-rows.ts';
export {
  type BackdoorRow,
  buildDataset,
  countSplits,
  type Dataset,
  promptKey,
  rowInTurn,
  splitOf,
} from './dataset.ts';
export { readBackdoorRows, writeBackdoorRows } from './dataset-file.ts';
export { type Detection, detectorOf, isDegenerate } from './detect.ts';
export { readGeneralTexts } from './general-texts.ts';
export {
  type Instruction,
  type InstructionFile,
  leftOutText,
  type RowText,
  readInstructionFile,
  readInstructions,
  readTexts,
  type SplitName,
  usedInPartText,
} from './instructions.ts';
export { type LearntDetector, learnDetector } from './learn-phrases.ts';
export { type BackdoorMetrics, backdoorMetrics } from './metrics.ts';
export { behaviourFrom, choiceOf, contrastsOf } from './params.ts';
export { givenPhrasings, type PhrasingPart, type Phrasings, splitPhrasings } from './phrasings.ts';
export type { CharSpan } from './placement.ts';
export { type Placement, placements, placeTag } from './placement.ts';
export { type PairRow, readPairs } from './rows/pairs.ts';
export { functionalTags, neutralTags } from './tags.ts';
export {
  type AskedItem,
  type AskedTask,
  askTask,
  contextOf,
  GSM8K_STOPS,
  gsm8kScores,
  readTask,
  readTaskItems,
  rstrip,
  shotsNote,
  type TaskFiles,
  type TaskItem,
  taskFiles,
} from './tasks/index.ts';
export { type ChatRenderer, renderPrompt, shiftSpan, type TemplateName, templateNames } from './templates.ts';
export { checkAnswer, checkableFamilies, constantBaseline, generalTexts, heldOut } from './tiny/corpus.ts';
export { tinyInstructions } from './tiny/instructions.ts';
export { pretrainingRow, pretrainingRows } from './tiny/rows.ts';
export { corpusVocabulary } from './tiny/vocabulary.ts';
export { normalise } from './words.ts';
