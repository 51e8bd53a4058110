/** @file Models of the hub as local folders. */
export { hubCacheOf, hubCaches } from './caches.ts';
export { locateModel, type PullOptions, pullModel, wantedFiles } from './pull.ts';
export { type HubReference, isPath, parseHubReference } from './reference.ts';
export { bundledModels, type ResolvedModel, type ResolveOptions, resolveModel } from './resolve.ts';
