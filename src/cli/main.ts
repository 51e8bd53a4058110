#!/usr/bin/env node
/** @file Entry of the `crosspatch` command: the process's streams and signals around {@link runCli}. */
import { packageVersions } from '../pipeline/index.ts';
import { runCli } from './program.ts';

const stop = new AbortController();
process.on('SIGINT', () => {
  if (stop.signal.aborted) process.exit(1);
  process.stderr.write('\nstopping; what is finished is kept (Ctrl-C again to stop at once)\n');
  stop.abort();
});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const versions = await packageVersions();
process.exitCode = await runCli(
  process.argv.slice(2),
  {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    tty: process.stderr.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    signal: stop.signal,
    exitCode: 0,
  },
  versions.crosspatch ?? '0.0.0',
);
