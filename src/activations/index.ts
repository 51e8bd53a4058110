/** @file Paired activations of two models over the same text: capture, pairing, shards, streams. Knows no maps. */
export { type CapturedText, type CaptureOptions, captureActivations } from './capture.ts';
export { LEFT_OUT, noCounts, type PairCounts, type PairRows, type PairSource, ROW } from './pairs.ts';
export { writeCapture } from './shards.ts';
export { livePairs, type SourceOptions, storedPairs } from './sources.ts';
export { collectPairs, minibatches, pairTable, selectPairs, swapPairs } from './table.ts';
export {
  type PairedText,
  type PairedTurns,
  pairText,
  type SplitShares,
  splitByPrompt,
  textsHash,
  tokenizerHash,
} from './texts.ts';
