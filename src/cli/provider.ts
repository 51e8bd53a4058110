/** @file `--provider`: what models compute on, for one command and the processes it starts. */
import type { Command } from 'commander';
import { PROVIDER_VARIABLE, tryProvider } from '../engine/index.ts';
import type { CommonOptions } from './cli.ts';

/** Before any command begins: set its provider, and try it, so that one that is not there is an error of the first second. */
export function chooseProvider(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    const { provider } = command.opts<CommonOptions>();
    if (provider === undefined) return;
    if (provider !== 'cpu') await tryProvider(provider);
    process.env[PROVIDER_VARIABLE] = provider;
  });
}

/** Run `body`; the provider is afterwards what it was. */
export async function keepingProvider<T>(body: () => Promise<T>): Promise<T> {
  const before = process.env[PROVIDER_VARIABLE];
  try {
    return await body();
  } finally {
    if (before === undefined) delete process.env[PROVIDER_VARIABLE];
    else process.env[PROVIDER_VARIABLE] = before;
  }
}
