/** @file Training: losses, gradients block by block, AdamW, full and LoRA fine-tuning. Knows no backdoors. */
export { AdamW, globalNorm } from './adamw.ts';
export { allLoraTargets, initAdapters, isFactor, type LoraTarget } from './adapters.ts';
export { mergeAdapterFolder } from './base.ts';
export { type Batch, padBatch, type TrainRow, trainRow } from './batches.ts';
export { saveWithDownBias, takesDownBias } from './down-bias.ts';
export { type FinetuneOptions, type FinetuneResult, finetune, type TextRow } from './finetune.ts';
export { initParameters, loadParameters, type Parameters } from './parameters.ts';
export { peftModules } from './peft.ts';

export { saveRandomTwin } from './random-twin.ts';
export { saveModel } from './save-model.ts';

export { type SearchRun, search } from './search.ts';
export { type FinetunePreset, finetuneDefaults, finetunePresets } from './settings.ts';
export { TrainableModel } from './trainable.ts';
export { train } from './trainer.ts';
