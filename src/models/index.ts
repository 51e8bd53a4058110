/** @file Language models: checkpoints, tokenizers, families, hooks, running and generation. */
export * from './checkpoint/index.ts';
export type { BlockConfig, ModelConfig, RopeConfig } from './config.ts';
export { KvCache } from './decoder/cache.ts';
export { Decoder, type DecoderOptions, type Residual, type RunOptions } from './decoder/decoder.ts';
export { parseModelConfig, supportedFamilies } from './families/index.ts';
export { type FwdHook, type HookContext, type HookFn, HookTable, hookName, hookNames, parseHookName } from './hooks.ts';
