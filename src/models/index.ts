/** @file Language models: checkpoints, tokenizers, families, hooks, running and generation. */
export { Activation, ActivationCache } from './activation.ts';
export type { ArithmeticGuard } from './arithmetic-guard.ts';
export { type CacheEntry, cacheEntries, deleteCacheEntry, folderUse } from './cache-entries.ts';
export {
  type Checkpoint,
  type CheckpointHeaders,
  cacheRoot,
  convertToHf,
  decodeToFloat32,
  type FloatDtype,
  fileSource,
  ggufEntry,
  heldAs,
  inspectCheckpoint,
  openCheckpoint,
  parseStrictJsonObject,
  readGguf,
  readSafetensors,
  readTensorFloat32,
  refuseNonFinite,
  type TensorInfo,
  type WeightsForm,
  writeGguf,
  writeSafetensors,
} from './checkpoint/index.ts';
export type { Completion, GenerateOptions, StreamedToken } from './completions.ts';
export type { ModelConfig, RopeConfig } from './config.ts';
export { type BlockWeights, familyNorm, wholeBlock } from './decoder/block.ts';
export { KvCache } from './decoder/cache.ts';
export { Decoder } from './decoder/decoder.ts';
export { vocabularyChunks } from './decoder/head.ts';
export { fillMask } from './decoder/mask.ts';
export type { Residual } from './decoder/pass.ts';
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
export { exportGguf } from './export-gguf.ts';
export { parseModelConfig } from './families/index.ts';
export { choiceOf, decodeSteps, nextLogits } from './generate.ts';
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
  residAfter,
  residMid,
  residPost,
  residPre,
} from './hooks.ts';
export { bundledModels, hubCaches, pullModel, resolveModel } from './hub/index.ts';
export type { LaneEvent, ScoredToken } from './lane.ts';
export { Lanes } from './lanes.ts';
export { LanguageModel, type LoadOptions, type ModelInput } from './language-model.ts';
export { inspectModelFiles } from './model-files.ts';
export { logSumExp } from './sampling.ts';
export {
  alignTokens,
  alignTurns,
  type ChatMessage,
  type ChatOptions,
  type ChatTurn,
  chatTurn,
  DecodeStream,
  type DifferingSpan,
  differingSpan,
  type Encoding,
  loadTokenizer,
  pairSpans,
  type SharedText,
  type Span,
  spanOfChars,
  type TokenAlignment,
  Tokenizer,
  type TurnSettings,
  tokenizerFromFiles,
  tokenizerTextsFromGguf,
  trainByteBpe,
  trainWordLevel,
  turnEnd,
  unknownWords,
  unreadEnd,
  userTurn,
} from './tokenizer/index.ts';
