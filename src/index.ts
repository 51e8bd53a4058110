/**
 * @file What the package offers: models and their activations, interventions, behaviours and fine-tuning, maps, whole experiments.
 * The graph engine below is `crosspatch/engine`; everything else is not part of the interface.
 *
 * Throughout: activations are float32, [B,T,D] = prompts, positions, width of the residual stream; blocks count from 0; logits are
 * [B,T,V] before softmax; logprobs are natural logarithms. What a caller can mend is an `InputError`, whose message says where, what
 * was wanted, what was given and what to do.
 */

// Whole tasks
export {
  type ExperimentRun,
  type FitMapOptions,
  type FitMapResult,
  fitMap,
  type MapSide,
  type RunExperimentOptions,
  runExperiment,
} from './api/index.ts';
// Errors and progress
export { AbortedError, CrosspatchError, InputError, type ProgressEvent } from './base/index.ts';
// Behaviours and the data that teaches them
export {
  type BackdoorMetrics,
  type BackdoorRow,
  type Behaviour,
  backdoorMetrics,
  buildDataset,
  contrastPrompts,
  type Dataset,
  type Instruction,
  makeBehaviour,
  readInstructions,
  tinyInstructions,
  triggerStates,
} from './behaviours/index.ts';
// Interventions
export type {
  InterventionDocumentInput,
  InterventionEffect,
  InterventionInput,
  RecipeInput,
  Results,
} from './contracts/index.ts';
// Judging completions by a language model
export { openAiJudge } from './evaluate/index.ts';
export { type AppliedIntervention, applyIntervention, steeringDocument } from './interventions/index.ts';
// Maps on disk
export { ActivationMap, exportSaelens, loadMap, saveMap } from './maps/index.ts';
// Models and activations
export {
  Activation,
  ActivationCache,
  attnOut,
  bundledModels,
  type Completion,
  type FwdHook,
  type GenerateOptions,
  type HookContext,
  type HookFn,
  LanguageModel,
  type LoadOptions,
  type ModelConfig,
  type ModelInput,
  mlpOut,
  reading,
  residMid,
  residPost,
  residPre,
  type StreamedToken,
  type Tokenizer,
} from './models/index.ts';
export { type FinetuneOptions, type FinetuneResult, finetune, mergeAdapterFolder } from './train/index.ts';
