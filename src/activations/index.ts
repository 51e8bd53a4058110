/** @file Paired activations of two models over the same text: capture, pairing, shards, streams. Knows no maps. */
export { type CapturedText, type CaptureOptions, captureActivations } from './capture.ts';
export { exportActivations } from './exchange.ts';
export { importActivations } from './import.ts';
export { mixPairs } from './mix.ts';
export { pairedCaptures } from './paired-captures.ts';
export { noCounts, type PairCounts } from './pairs.ts';
export { LEFT_OUT, type PairRows, type PairSource, ROW } from './rows.ts';
export { livePairs, storedPairs } from './sources.ts';
export { collectPairs, minibatches, pairTable, selectPairs, swapPairs } from './table.ts';
export {
  type PairedText,
  type PairedTurns,
  pairText,
  type SplitShares,
  splitByPrompt,
  type TokenizerPair,
  textsHash,
  tokenizerHash,
} from './texts.ts';
export { writeCapture } from './write-capture.ts';
