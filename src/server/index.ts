/** @file Servers: the local web app. */

export type { ProbeArm as PlaygroundArm, ProbeProof as PlaygroundProof } from '../evaluate/index.ts';
export type { Verdict } from '../report/index.ts';
export type { ViewApi } from './view/app.ts';
export type { ModelDescription } from './view/model-process.ts';
export type { PlaygroundChoices, PlaygroundMap } from './view/playground.ts';
export type { PlaygroundEvent, PlaygroundRequest } from './view/playground-request.ts';
export type { Rating, RatingChange } from './view/ratings.ts';
export type { RunDetail, RunSummary } from './view/runs-folder.ts';
export type { SampleGroup, SampleGroupEntry, SampleIndex } from './view/samples.ts';
export { startViewServer, type ViewOptions, type ViewServer } from './view/serve.ts';
export type { RunEvents } from './view/tail.ts';
