#!/usr/bin/env node
/** @file Entry of the `crosspatch` command: the process's streams and signals around {@link runCli}. */
import { createInterface } from 'node:readline/promises';
import { buffer } from 'node:stream/consumers';
import { decodeText } from '../base/index.ts';
import { expandExperiment, packageVersions } from '../pipeline/index.ts';
import { runCli } from './program.ts';

const stop = new AbortController();
// A closed terminal and a job scheduler ask as Ctrl-C does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1);
    process.stderr.write('\nstopping; what is finished is kept (Ctrl-C again to stop at once)\n');
    stop.abort();
  });
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  if (error.code === 'EIO') return; // the terminal is gone; the signal says so
  process.stderr.write(`error: standard output: cannot be written (${error.code})\n`);
  process.exit(2);
});
process.stderr.on('error', () => {});

const versions = await packageVersions();
process.exitCode = await runCli(
  process.argv.slice(2),
  {
    out: (line) => void process.stdout.write(line),
    err: (line) => void process.stderr.write(line),
    control: (sequence) => void process.stderr.write(sequence),
    tty: process.stderr.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    confirm: process.stdin.isTTY ? ask : undefined,
    stdin: async () => decodeText(await buffer(process.stdin), 'standard input'),
    signal: stop.signal,
    exitCode: 0,
    expand: expandExperiment,
  },
  versions.crosspatch ?? '0.0.0',
);

async function ask(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal: stop.signal })).trim());
  } finally {
    terminal.close();
  }
}
