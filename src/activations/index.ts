/** @file Paired activations of two models over the same text: capture, pairing, shards, streams. Knows no maps. */
export {
  type CapturedText,
  type CaptureOptions,
  type CaptureText,
  captureActivations,
  captureHooks,
} from './capture.ts';
export {
  LEFT_OUT,
  noCounts,
  type PairCounts,
  type PairOptions,
  type PairRows,
  type PairSource,
  pairStream,
  ROW,
} from './pairs.ts';
export {
  type CaptureIdentity,
  type CaptureIndex,
  readCapture,
  readCaptureIndex,
  type WriteCaptureOptions,
  writeCapture,
} from './shards.ts';
export { type LiveSide, livePairs, type SourceOptions, type StoredSide, storedPairs } from './sources.ts';
export {
  collectPairs,
  type Minibatch,
  minibatches,
  pairTable,
  selectPairs,
  swapPairs,
  takeRows,
} from './table.ts';
export {
  type PairedText,
  type PairTextOptions,
  pairText,
  type SplitShares,
  shuffledTexts,
  splitByPrompt,
  textsHash,
  tokenizerHash,
} from './texts.ts';
