/** @file Models of the hub as local folders. */
export { hubCacheOf, hubCaches } from './caches.ts';
export { wantedFiles } from './listing.ts';
export { locateModel, type PullOptions, pullModel, type SurveyedModel, surveyModel } from './pull.ts';
export { type HubReference, isPath, parseHubReference } from './reference.ts';
export { bundledModels, type ResolvedModel, type ResolveOptions, resolveModel } from './resolve.ts';
