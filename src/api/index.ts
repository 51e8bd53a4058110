/** @file Whole tasks as one call each, for people who write code instead of experiment files. */
export { type FitMapOptions, type FitMapResult, fitMap, type MapSide } from './fit-map.ts';
export { makeVector } from './make-vector.ts';
export { type ExperimentRun, type RunExperimentOptions, runExperiment } from './run-experiment.ts';
