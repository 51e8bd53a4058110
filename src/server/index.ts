/** @file Servers: the local web app. */
export {
  type ApiError,
  type Comparison,
  type Headline,
  PLAYGROUND_ARMS,
  type PlaygroundArm,
  type PlaygroundChoices,
  type PlaygroundEvent,
  type PlaygroundMap,
  type PlaygroundModel,
  type PlaygroundProof,
  type PlaygroundRequest,
  type Rating,
  type RatingChange,
  type RunDetail,
  type RunEvents,
  type RunResults,
  type RunSummary,
  type SampleFilter,
  type SampleGroup,
  type SampleGroupEntry,
  type SampleIndex,
  type Session,
} from './view/api.ts';
export type { ModelDescription } from './view/playground.ts';
export { startViewServer, type ViewOptions, type ViewServer } from './view/serve.ts';
