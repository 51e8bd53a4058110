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
export { type ModelFolder, saveModel } from './saveModel.ts';
export { learningRate, type Schedule } from './schedule.ts';
export { type LossResult, TrainableModel, type TrainableOptions } from './trainable.ts';
export { meanLoss, type TrainOptions, type TrainResult, train } from './trainer.ts';
