/** @file The command line as a function, for tests and for programs that embed it. */
export type { Cli, RunCli } from './cli.ts';
export { createProgram, runCli } from './program.ts';
export { type ProgressRenderer, progressRenderer } from './progress.ts';
