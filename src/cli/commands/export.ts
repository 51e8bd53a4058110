/** @file `export`: what was made here, as files that other tools read. One file per kind of thing. */
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExportActivations } from './export-activations.ts';
import { addExportMap } from './export-map.ts';
import { addExportModel } from './export-model.ts';
import { addExportVector } from './export-vector.ts';

export function addExport(program: Command, cli: Cli): void {
  const group = program
    .command('export')
    .description(
      'Hand vectors, maps, activations and models to other tools: llama.cpp, Ollama, repeng, transformers, SAELens, ONNX Runtime.',
    );
  for (const add of [addExportVector, addExportMap, addExportActivations, addExportModel]) add(group, cli);
}
