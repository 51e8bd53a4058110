/** @file The two models of a map, and maps that are held to the models they were made for. */

import { type Command, Option } from 'commander';
import { disposeAll, InputError, type Owned } from '../base/index.ts';
import { mapEnd } from '../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../maps/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { type Cli, type CommonOptions, wholeNumber } from './cli.ts';
import { openAdapted, weightsOption } from './model.ts';

export interface PairOptions extends CommonOptions {
  readonly source: string;
  readonly target: string;
  readonly sourceAdapter?: string;
  readonly targetAdapter?: string;
  readonly sourceBlock?: number;
  readonly targetBlock?: number;
}

/** `--source`, `--target` and their blocks: where a new map is fitted, or what an old one must say. */
export function addPairOptions(command: Command, blocks: 'wanted' | 'checked'): Command {
  const block = (side: 'source' | 'target') => {
    const flag = `--${side}-block`;
    const option = new Option(
      `${flag} <n>`,
      blocks === 'wanted' ? `the map's block of the ${side}, from 0` : "must be the map's own when given",
    ).argParser(wholeNumber(flag, 0));
    return blocks === 'wanted' ? option.makeOptionMandatory() : option;
  };
  return addModelOptions(command).addOption(block('source')).addOption(block('target'));
}

/** `--source` and `--target`, wanted unless `when` says when. */
export function addModelOptions(command: Command, when?: string): Command {
  const model = (side: 'source' | 'target', what: string): Option =>
    new Option(`--${side} <model>`, when === undefined ? what : `${what}; ${when}`).makeOptionMandatory(
      when === undefined,
    );
  return command
    .addOption(model('source', 'A: bundled name, path, or org/name on the hub'))
    .addOption(model('target', 'B, as --source'))
    .option('--source-adapter <folder>', 'PEFT adapter to put on the source')
    .option('--target-adapter <folder>', 'PEFT adapter to put on the target')
    .addOption(weightsOption());
}

/** Both models. Dispose of the pair. */
export async function openPair(
  options: PairOptions,
  cli: Cli,
): Promise<Owned & { readonly source: LanguageModel; readonly target: LanguageModel }> {
  const source = await openAdapted(options.source, options.sourceAdapter, cli, options);
  try {
    const target = await openAdapted(options.target, options.targetAdapter, cli, options);
    return {
      source: source.model,
      target: target.model,
      [Symbol.asyncDispose]: () => disposeAll([source, target]),
    };
  } catch (error) {
    await source[Symbol.asyncDispose]();
    throw error;
  }
}

/** A block of a model, or an {@link InputError} that names the flag and the blocks there are. */
export function blockOf(model: LanguageModel, block: number, flag: string): number {
  if (block < model.nLayers) return block;
  throw new InputError(`${flag} ${block}: wanted a block of the model, 0…${model.nLayers - 1}`, {
    id: 'block-unknown',
  });
}

/** Read a map and refuse models and blocks it was not made for. */
export async function openMap(
  path: string,
  { source, target }: { readonly source: LanguageModel; readonly target: LanguageModel },
  options: Pick<PairOptions, 'sourceBlock' | 'targetBlock'> = {},
): Promise<ActivationMap> {
  const map = await loadMap(path);
  map.assertFits(
    await mapEnd(source, options.sourceBlock ?? map.source.block),
    await mapEnd(target, options.targetBlock ?? map.target.block),
  );
  return map;
}
