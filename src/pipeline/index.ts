/** @file Pipeline: stages, plans, the content-addressed store, the runner and run folders. */

export { mergedFolder, openAt } from './adapted.ts';
export { bake } from './bake/bake.ts';
export { BAKE_METHODS, type BakeRecord, type BakeSettings } from './bake/record.ts';
export { deleteRun } from './delete-run.ts';
export { documentResolvers } from './document-resolvers.ts';
export { bytesToFetch, dryRun, type PlannedStage } from './dry-run.ts';
export { defaultStore, type Expand, planExperiment, runExperiment } from './experiment.ts';
export { FLEET, isFleetFolder, listRunsAndTargets, readFleet } from './fleet/files.ts';
export { planFleet, runFleet, selectTargets } from './fleet/fleet.ts';
export { mergePlans } from './fleet/merge.ts';
export { checkPublished } from './ledger.ts';
export { bundledRecipe, bundledRecipes, isFleetFile, loadFleet, loadRecipe, loadRecipeText } from './load.ts';
export { type LogLine, readLogLine } from './log.ts';
export { availableMemory, describeMachine, packageRoot, packageVersions } from './machine.ts';
export { openProbe } from './open-probe.ts';
export {
  type MadeVectors,
  makeSteerVectors,
  openSteering,
  type SteerPaths,
  type SteerTexts,
  type SteerVector,
  steerDocument,
} from './open-steering.ts';
export { OtherModels } from './other-models.ts';
export { PREVIEW } from './preview.ts';
export { promptfooSuite } from './promptfoo.ts';
export { parseQueueAddress, type QueueAddress } from './queue/address.ts';
export { gigabytes } from './queue/capacity.ts';
export { runWorker } from './queue/worker.ts';
export {
  checkRequirement,
  compareResults,
  type FigureDifference,
  type FlatFigure,
  flattenResults,
  parseRequirement,
  type Requirement,
} from './results-query.ts';
export type { RunEvent, RunSink } from './run-event.ts';
export { readSamples } from './run-samples.ts';
export {
  failureOf,
  listRuns,
  type RunListing,
  readManifest,
  readProgress,
  readResults,
  readResultsSoFar,
} from './runs.ts';
export { Engine } from './serving/engine.ts';
export type {
  AnswerEvent,
  EngineInfo,
  EngineSettings,
  FromEngine,
  Question,
  QuestionSteering,
  SpokenToken,
  TemplateOption,
  ToEngine,
} from './serving/question.ts';
export { expandExperiment } from './stages/expand.ts';
export {
  type DocumentFileInfo,
  describeSteerFile,
  type SteerFileInfo,
  type VectorFileInfo,
} from './steer-files.ts';
export { Store } from './store.ts';
export { storeEntries } from './store-entries.ts';
export { openStore } from './store-open.ts';
export { LARGEST_GUIDE, parseUseGuide, readUseGuides } from './use-guides.ts';
