/** @file `import vector`: a control vector or a file of directions as an intervention document or a vector file of ours. */
import { basename, extname } from 'node:path';
import type { Command } from 'commander';
import { InputError, refuseForeignFile, writeJsonAtomic } from '../../base/index.ts';
import { parseIntervention } from '../../contracts/index.ts';
import { importedDocument, importVectors, norm, writeDirections } from '../../interventions/index.ts';
import { inspectModelFiles } from '../../models/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson } from '../cli.ts';
import { blockList } from '../lists.ts';
import { openReference } from '../model.ts';
import { figure } from '../table.ts';

interface VectorOptions extends CommonOptions {
  readonly model?: string;
  readonly scale: number;
  readonly blocks?: readonly number[];
}

export function addImportVector(group: Command, cli: Cli): void {
  declare(
    group,
    'vector <file> <out>',
    'Read a GGUF control vector (llama.cpp, repeng) or safetensors with direction.L, and write an intervention document (OUT.json, for generate, serve and bake) or a vector file (OUT.safetensors).',
    'import vector polite.gguf polite.json --model Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf --scale 0.8',
  )
    .option('--model <model>', 'the model it is for: width and blocks are checked, the document names it')
    .option(
      '--scale <x>',
      'factor on the vectors, as given to --control-vector-scaled',
      decimal('--scale', -1e6),
      1,
    )
    .option('--blocks <list>', 'only these blocks (from 0), e.g. 5,10..14', blockList('--blocks'))
    .action((file: string, out: string, options: VectorOptions) => importVector(file, out, options, cli));
}

async function importVector(file: string, out: string, options: VectorOptions, cli: Cli): Promise<void> {
  const form = extname(out).toLowerCase();
  if (form !== '.json' && form !== '.safetensors')
    throw new InputError(`${out}: wanted a name that ends in .json or .safetensors`, {
      id: 'option-invalid',
    });
  const reference =
    options.model === undefined ? undefined : await openReference(options.model, cli, options);
  const model = reference && {
    name: basename(reference.path),
    config: (await inspectModelFiles(reference.path)).config,
  };
  const found = await importVectors(file, { scale: options.scale, blocks: options.blocks, model });
  const ours = (text: string): boolean =>
    form === '.json' ? parseIntervention(JSON.parse(text)) !== undefined : text.includes('"direction.');
  await refuseForeignFile(out, ours, { reads: [file] });
  const architecture = model?.config.modelType ?? (found.architecture || 'unknown');
  if (form === '.json') await writeJsonAtomic(out, importedDocument(found, model?.name));
  else await writeDirections(out, found.vectors, { architecture, model: model?.name, origin: found.origin });
  const blocks = [...found.vectors].map(([block, v]) => ({ block, norm: norm(v), width: v.length }));
  if (options.json) printJson(cli, { file: out, origin: found.origin, blocks, notes: found.notes });
  else {
    const list = blocks.map(({ block, norm: size }) => `block ${block} (‖v‖ ${figure(size)})`).join(', ');
    cli.out(`wrote ${out}: added after ${list}; from ${found.origin}\n`);
    if (!options.quiet) for (const note of found.notes) cli.err(`note: ${note}\n`);
  }
}
