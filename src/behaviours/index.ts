/** @file Behaviours: what a model is taught to do under a trigger, the data that teaches it, and how it is recognised. */
export { type CharSpan, type Placement, placements, placeTag, type Tagged } from './placement.ts';
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
export { type PretrainingRow, pretrainingRow, pretrainingRows, type RowKind } from './tiny/rows.ts';
export { corpusVocabulary } from './tiny/vocabulary.ts';
export { normalise, words } from './words.ts';
