/** @file Servers: the local web app, and the OpenAI-compatible server of one model. */

export type {
  ProbeArm as PlaygroundArm,
  ProbeProof as PlaygroundProof,
  SteerAnswer,
  SteerArm,
  SteerPlace,
  SteerProof,
} from '../evaluate/index.ts';
export type { MadeVectors, SteerFileInfo } from '../pipeline/index.ts';
export type { FleetCell, FleetMatrix, FleetRow, Verdict } from '../report/index.ts';
export { type ServeLimits, startModelServer } from './serve/start.ts';
export type { NamedSteering } from './serve/steering-table.ts';
export type { ViewApi } from './view/app.ts';
export type { ModelChoice, SteerFileChoice } from './view/finds.ts';
export type { FleetDetail, FleetSummary } from './view/fleets.ts';
export type { ModelDescription } from './view/model-process.ts';
export type { PlaygroundChoices, PlaygroundMap } from './view/playground.ts';
export type { PlaygroundEvent, PlaygroundRequest } from './view/playground-request.ts';
export type { Rating, RatingChange } from './view/ratings.ts';
export type { RecipeCheck, RecipeStart } from './view/run-control.ts';
export type { Headline, RunDetail, RunSummary } from './view/runs-folder.ts';
export type { SampleGroup, SampleGroupEntry, SampleIndex } from './view/samples.ts';
export { startViewServer, type ViewOptions, type ViewServer } from './view/serve.ts';
export type { SteerChoices } from './view/steer.ts';
export type { SteerRequest, SteerStreamEvent, SteerVectorRequest } from './view/steer-request.ts';
export type { RunEvents } from './view/tail.ts';
