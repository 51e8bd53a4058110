/** @file `export`: what was made here, as files that other tools read. One file per kind of thing. */
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { addExportActivations } from './export-activations.ts';
import { addExportMap } from './export-map.ts';
import { addExportModel } from './export-model.ts';
import { addExportPromptfoo } from './export-promptfoo.ts';
import { addExportSamples } from './export-samples.ts';
import { addExportVector } from './export-vector.ts';

export function addExport(program: Command, cli: Cli): void {
  const group = program
    .command('export')
    .description(
      'Hand vectors, maps, activations, models and samples to other tools: llama.cpp, Ollama, repeng, transformers, SAELens, ONNX Runtime, Inspect, lm-evaluation-harness, promptfoo.',
    );
  for (const add of [
    addExportVector,
    addExportMap,
    addExportActivations,
    addExportModel,
    addExportSamples,
    addExportPromptfoo,
  ])
    add(group, cli);
}
