/** @file Pipeline: stages, plans, the content-addressed store, the runner and run folders. */

export { acquireLock } from '../base/index.ts';
export { dryRun, type PlannedStage } from './dry-run.ts';
export {
  defaultStore,
  type Expand,
  type ExperimentOptions,
  type ExperimentSummary,
  planExperiment,
  runExperiment,
} from './experiment.ts';
export { checkPublished } from './ledger.ts';
export { type LoadOptions, loadRecipe } from './load.ts';
export { type LogLine, logSink, readLog, readLogLine } from './log.ts';
export { describeMachine, gitState, packageRoot, packageVersions } from './machine.ts';
export { openProbe, type ProbePaths } from './open-probe.ts';
export {
  hashPath,
  type InputRefs,
  type NodeOptions,
  type NodeRef,
  Plan,
  type PlanNode,
  type SourceAbout,
} from './plan.ts';
export { PREVIEW } from './preview.ts';
export { ProcessPool, type RemoteCall } from './process-pool.ts';
export {
  checkRequirement,
  compareResults,
  type FigureDifference,
  type FlatFigure,
  flattenResults,
  parseRequirement,
  type Requirement,
} from './results-query.ts';
export {
  type FinishedNode,
  type RunEvent,
  type RunOptions,
  type RunSink,
  runPlan,
  runStageInChild,
} from './runner.ts';
export {
  failureOf,
  listRuns,
  type RunListing,
  readManifest,
  readProgress,
  readResults,
  readResultsSoFar,
} from './runs.ts';
export {
  type AnyStage,
  defineStage,
  optional,
  type PlanInfo,
  type SourceOutput,
  type Stage,
  type StageContext,
  type StageEstimate,
  type StageInput,
  type StageInputs,
  sourceFile,
} from './stage.ts';
export { expandExperiment } from './stages/expand.ts';
export { type Lookup, Store, type StoreEntry } from './store.ts';
export { storeEntries } from './store-entries.ts';
