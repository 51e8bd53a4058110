/** @file `export vector|map|model`: what was made here, as files that other tools read. */
import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  additiveVectors,
  norm,
  withVectorsInline,
  writeControlVector,
  writeDirections,
} from '../../interventions/index.ts';
import { exportSaelens, loadMap } from '../../maps/index.ts';
import { exportGguf, openModelFiles, resolveModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson } from '../cli.ts';
import { adaptedFolder, openReference, withProgress } from '../model.ts';
import { readSteering } from '../steer.ts';
import { figure } from '../table.ts';

export function addExport(program: Command, cli: Cli): void {
  const group = program
    .command('export')
    .description(
      'Hand vectors, maps and models to other tools: llama.cpp, Ollama, repeng, transformers, SAELens.',
    );
  addVector(group, cli);
  addMap(group, cli);
  addModel(group, cli);
}

interface VectorOptions extends CommonOptions {
  readonly model?: string;
  readonly scale: number;
  readonly everywhere?: boolean;
}

function addVector(group: Command, cli: Cli): void {
  declare(
    group,
    'vector <steering> <file>',
    'Write vectors that are added after blocks, strength multiplied in: FILE.gguf for llama.cpp (--control-vector) and repeng, FILE.safetensors with direction.L for the rest.',
    'export vector polite/ polite.gguf --model Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf',
  )
    .option('--model <model>', 'the model they steer: its architecture is named, its width checked')
    .option('--scale <x>', 'factor on the strength of the document', decimal('--scale', -1e6), 1)
    .option(
      '--everywhere',
      'take what is added at some positions, or on some prompts, as added everywhere: another intervention',
    )
    .action((steering: string, file: string, options: VectorOptions) => vector(steering, file, options, cli));
}

async function vector(steering: string, file: string, options: VectorOptions, cli: Cli): Promise<void> {
  const write = { '.gguf': writeControlVector, '.safetensors': writeDirections }[extname(file).toLowerCase()];
  if (write === undefined)
    throw new InputError(`${file}: wanted a name that ends in .gguf or .safetensors`, {
      id: 'option-invalid',
    });
  const { document, file: from } = await readSteering(steering);
  const inline = await withVectorsInline(document, from);
  const { vectors, leaves } = additiveVectors(inline, { everywhere: options.everywhere === true });
  const scaled = new Map([...vectors].map(([block, v]) => [block, v.map((x) => x * options.scale)]));
  const config =
    options.model === undefined
      ? undefined
      : (await openModelFiles((await openReference(options.model, cli, options)).path)).config;
  for (const [block, { length }] of scaled)
    if (config !== undefined && (length !== config.dModel || block >= config.blocks.length))
      throw new InputError(
        `${steering}: direction.${block} has ${length} numbers; ${options.model} has width ${config.dModel} and blocks 0…${config.blocks.length - 1}`,
        { id: 'vector-invalid' },
      );
  await write(file, scaled, {
    architecture: config?.modelType ?? 'unknown',
    model: options.model === undefined ? document.model : basename(options.model),
  });
  const blocks = [...scaled].map(([block, v]) => ({ block, norm: norm(v) }));
  if (options.json) printJson(cli, { file, blocks, leaves });
  else {
    cli.out(
      `wrote ${file}: ${blocks.map(({ block, norm: size }) => `direction.${block} (‖v‖ ${figure(size)})`).join(', ')}\n`,
    );
    if (!options.quiet)
      for (const line of leaves) cli.err(`note: ${line}; measure what the file reaches by itself\n`);
  }
}

function addMap(group: Command, cli: Cli): void {
  declare(
    group,
    'map <map> <folder>',
    'Write a fitted map as a SAELens skip transcoder.',
    'export map runs/demo/maps/locked/affine.general affine-saelens',
  ).action(async (path: string, folder: string, options: CommonOptions) => {
    const map = await loadMap(path);
    await exportSaelens(map, folder);
    if (options.json) printJson(cli, { folder, kind: map.record.kind });
    else cli.out(`wrote ${folder}: ${map.record.kind}, ${map.source.width} to ${map.target.width}\n`);
  });
}

interface ModelOptions extends CommonOptions {
  readonly like: string;
  readonly adapter?: string;
}

function addModel(group: Command, cli: Cli): void {
  declare(
    group,
    'model <model> <file>',
    'Write a model as a float16 GGUF for llama.cpp and Ollama, with the metadata and tokenizer of the GGUF it was made from. (A Hugging Face folder: models convert.)',
    'export model runs/r/models/locked.target locked.gguf --like SmolLM2-135M-Instruct.Q4_1.gguf',
  )
    .requiredOption('--like <file>', 'the GGUF that the model was made from')
    .option('--adapter <path>', 'PEFT adapter on the model')
    .action((model: string, file: string, options: ModelOptions) => exportModel(model, file, options, cli));
}

async function exportModel(model: string, file: string, options: ModelOptions, cli: Cli): Promise<void> {
  if (extname(file).toLowerCase() !== '.gguf')
    throw new InputError(`${file}: wanted a name that ends in .gguf`, { id: 'option-invalid' });
  const { path: like } = await resolveModel(options.like);
  await using place = await adaptedFolder(model, options.adapter, cli, options);
  const checkpoint = await openReference(place.path, cli, options);
  await withProgress(cli, options, (onProgress) => exportGguf(checkpoint, file, { like, onProgress }));
  if (options.json) printJson(cli, { file, tensors: checkpoint.tensors.size });
  else cli.out(`wrote ${file}: ${checkpoint.tensors.size} tensors, matrices in float16\n`);
}
