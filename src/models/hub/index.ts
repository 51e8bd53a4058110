/** @file Models of the hub as local folders. */
export { locateModel, type PullOptions, pullModel, wantedFiles } from './pull.ts';
export { type HubReference, isPath, parseHubReference } from './reference.ts';
