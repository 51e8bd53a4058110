/** @file `export vector`: what is added after blocks, as a GGUF control vector or as safetensors. */
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
import { inspectModelFiles } from '../../models/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson } from '../cli.ts';
import { inspectReference } from '../model.ts';
import { readSteering } from '../steer.ts';
import { figure } from '../table.ts';

interface VectorOptions extends CommonOptions {
  readonly model?: string;
  readonly scale: number;
  readonly everywhere?: boolean;
}

export function addExportVector(group: Command, cli: Cli): void {
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
      : (await inspectModelFiles((await inspectReference(options.model, cli, options)).path)).config;
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
