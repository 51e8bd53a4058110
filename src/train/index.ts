/** @file Training: losses, gradients block by block, AdamW, full and LoRA fine-tuning. Knows no backdoors. */
export { AdamW, type AdamWOptions, globalNorm, isMatrix } from './adamw.ts';
export { allLoraTargets, type LoraOptions, type LoraTarget } from './adapters.ts';
export { type Batch, packBatch, padBatch, type TrainRow, trainRow } from './batches.ts';
export {
  type InitOptions,
  initParameters,
  loadParameters,
  type Parameters,
  parameter,
} from './parameters.ts';
export { type LossResult, TrainableModel, type TrainableOptions } from './trainable.ts';
