/** @file The package root: one namespace per layer. Deep imports (`crosspatch/models`, …) carry the same names. */
export * as activations from './activations/index.ts';
export * as base from './base/index.ts';
export * as behaviours from './behaviours/index.ts';
export * as contracts from './contracts/index.ts';
export * as engine from './engine/index.ts';
export * as evaluate from './evaluate/index.ts';
export * as figures from './figures/index.ts';
export * as interventions from './interventions/index.ts';
export * as maps from './maps/index.ts';
export * as models from './models/index.ts';
export * as pipeline from './pipeline/index.ts';
export * as report from './report/index.ts';
export * as stats from './stats/index.ts';
export * as train from './train/index.ts';
