/** @file `export model`: a GGUF for llama.cpp and Ollama. */
import { extname } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import { exportGguf, resolveModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { adaptedFolder, openReference, withProgress } from '../model.ts';

interface ModelOptions extends CommonOptions {
  readonly like?: string;
  readonly adapter?: string;
  readonly dtype: 'f16' | 'f32';
}

export function addExportModel(group: Command, cli: Cli): void {
  declare(
    group,
    'model <model> <file>',
    'Write a model as a GGUF for llama.cpp and Ollama. (A Hugging Face folder: models convert.)',
    'export model tiny-qwen tiny-qwen.gguf',
  )
    .option(
      '--like <file>',
      'GGUF that the model was made from: its metadata and tokenizer are taken, instead of those that the model’s own files say',
    )
    .option('--adapter <path>', 'PEFT adapter on the model')
    .addOption(
      new Option('--dtype <type>', 'of the matrices; the rest is f32').choices(['f16', 'f32']).default('f16'),
    )
    .action((model: string, file: string, options: ModelOptions) => exportModel(model, file, options, cli));
}

async function exportModel(model: string, file: string, options: ModelOptions, cli: Cli): Promise<void> {
  if (extname(file).toLowerCase() !== '.gguf')
    throw new InputError(`${file}: wanted a name that ends in .gguf`, { id: 'option-invalid' });
  const like = options.like === undefined ? undefined : (await resolveModel(options.like)).path;
  await using place = await adaptedFolder(model, options.adapter, cli, options);
  const checkpoint = await openReference(place.path, cli, options);
  await withProgress(cli, options, (onProgress) =>
    exportGguf(checkpoint, file, { like, dtype: options.dtype === 'f32' ? 'F32' : 'F16', onProgress }),
  );
  if (options.json) printJson(cli, { file, tensors: checkpoint.tensors.size });
  else
    cli.out(
      `wrote ${file}: ${checkpoint.tensors.size} tensors, matrices in ${options.dtype === 'f32' ? 'float32' : 'float16'}\n`,
    );
}
