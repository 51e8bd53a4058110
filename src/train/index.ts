/** @file Training: losses, gradients block by block, AdamW, full and LoRA fine-tuning. Knows no backdoors. */
export { AdamW, type AdamWOptions, globalNorm, isMatrix } from './adamw.ts';
export {
  type AdapterSite,
  adapterSites,
  allLoraTargets,
  factorOf,
  initAdapters,
  isFactor,
  type LoraOptions,
  type LoraTarget,
  mergeAdapters,
} from './adapters.ts';
export { mergeAdapterFolder } from './base.ts';
export { type Batch, packBatch, padBatch, type TrainRow, trainRow } from './batches.ts';
export {
  type FinetuneOptions,
  type FinetuneResult,
  finetune,
  type RowCounts,
  type TextRow,
} from './finetune.ts';
export {
  type InitOptions,
  initParameters,
  loadParameters,
  type Parameters,
  parameter,
} from './parameters.ts';
export { type Adapter, loadAdapter, peftModules, saveAdapter } from './peft.ts';
export { type BatchPlan, inBatches, type PlanOptions, planBatches } from './plan.ts';
export { onlyBlocks, type RateFactors, rateOf } from './rates.ts';
export { type ModelFolder, saveModel } from './save-model.ts';
export { learningRate, type Schedule } from './schedule.ts';
export { type SearchOptions, type SearchResult, type SearchRun, search } from './search.ts';
export {
  type FinetunePreset,
  type FinetuneSettings,
  finetuneDefaults,
  finetunePresets,
  resolveSettings,
} from './settings.ts';
export {
  type GradientOptions,
  type LossResult,
  TrainableModel,
  type TrainableOptions,
} from './trainable.ts';
export { DivergedError, meanLoss, type TrainOptions, type TrainResult, train } from './trainer.ts';
