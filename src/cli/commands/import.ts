/** @file `import`: what other tools made, checked and turned into files of ours. One file per kind of thing. */
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addImportActivations } from './import-activations.ts';
import { addImportVector } from './import-vector.ts';

export function addImport(program: Command, cli: Cli): void {
  const group = program
    .command('import')
    .description('Take in what other tools made: control vectors, and activations captured by vLLM.');
  for (const add of [addImportVector, addImportActivations]) add(group, cli);
}
