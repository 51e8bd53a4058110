/** @file Language models: checkpoints, tokenizers, families, hooks, running and generation. */
export { Activation, ActivationCache } from './activation.ts';
export { type CacheEntry, cacheEntries, deleteCacheEntry, folderUse } from './cache-entries.ts';
export * from './checkpoint/index.ts';
export type { BlockConfig, ModelConfig, RopeConfig } from './config.ts';
export { type BlockWeights, familyNorm, wholeBlock } from './decoder/block.ts';
export { KvCache } from './decoder/cache.ts';
export { Decoder, type DecoderOptions, type Residual, type RunOptions } from './decoder/decoder.ts';
export { vocabularyChunks } from './decoder/head.ts';
export { fillMask } from './decoder/mask.ts';
export { RopeTable } from './decoder/rope.ts';
export {
  allTensors,
  type BlockRole,
  blockTensorName,
  blockTensors,
  checkTensors,
  EMBED,
  FINAL_NORM,
  HEAD,
  parameterCount,
} from './decoder/weights.ts';
export { parseModelConfig, supportedFamilies } from './families/index.ts';
export { choiceOf, type DecodeOptions, decodeSteps, nextLogits, type Step } from './generate.ts';
export {
  attnOut,
  type FwdHook,
  type HookContext,
  type HookFn,
  HookTable,
  hookName,
  hookNames,
  mlpOut,
  parseHookName,
  reading,
  residMid,
  residPost,
  residPre,
} from './hooks.ts';
export {
  bundledModels,
  hubCaches,
  locateModel,
  type PullOptions,
  pullModel,
  type ResolvedModel,
  type ResolveOptions,
  resolveModel,
} from './hub/index.ts';
export {
  type Completion,
  type GenerateOptions,
  LanguageModel,
  type LoadOptions,
  type ModelInput,
  type StreamedToken,
} from './language-model.ts';
export { type ModelFiles, openModelFiles } from './model-files.ts';
export { argmaxWithGap, logSumExp, type SamplingOptions, sampleToken } from './sampling.ts';
export {
  type AddedToken,
  type AlignmentFlag,
  alignTokens,
  type ChatMessage,
  type ChatOptions,
  type ChatTurn,
  chatTurn,
  DecodeStream,
  type DifferingSpan,
  differingSpan,
  type EncodeOptions,
  type Encoding,
  loadTokenizer,
  pairSpans,
  readTokenizerFolder,
  type Span,
  type SpanOfTextOptions,
  type SpanPairs,
  spanOfChars,
  spanOfText,
  type TokenAlignment,
  Tokenizer,
  type TokenizerFiles,
  type TokenizerSettings,
  type TokenizerSource,
  type TrainedTokenizer,
  tokenizerFilesFromGguf,
  tokenizerFromFiles,
  tokenizerJsonFromGguf,
  tokenizerTextsFromGguf,
  trainByteBpe,
  trainWordLevel,
  turnEnd,
} from './tokenizer/index.ts';
