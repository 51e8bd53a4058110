/** @file `--control MAP`: control maps beside the map under test, known by their kind. */
import type { Command } from 'commander';
import { InputError } from '../base/index.ts';
import type { ActivationMap } from '../maps/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { collect } from './cli.ts';
import { openMap } from './pair.ts';

export interface ControlOption {
  readonly control?: readonly string[];
}

/** Kinds that are controls, and what they are called in results.json. */
const KINDS = { shuffled: 'shuffled', 'token-mean': 'token_mean', random: 'random' } as const;
type Control = (typeof KINDS)[keyof typeof KINDS];

export function addControlOption(command: Command): Command {
  return command.option(
    '--control <map>',
    `control map of kind ${Object.keys(KINDS).join(', ')}; may be repeated`,
    collect,
  );
}

/** Open them; refuses other kinds, and maps of other models or blocks than `map`'s. */
export async function openControls(
  { control = [] }: ControlOption,
  map: ActivationMap,
  pair: { readonly source: LanguageModel; readonly target: LanguageModel },
): Promise<Partial<Record<Control, ActivationMap>>> {
  const out: Partial<Record<Control, ActivationMap>> = {};
  const blocks = { sourceBlock: map.source.block, targetBlock: map.target.block };
  for (const path of control) {
    const opened = await openMap(path, pair, blocks);
    if (!isControl(opened.kind))
      throw new InputError(
        `--control ${path}: wanted a map of kind ${Object.keys(KINDS).join(', ')}, got ${opened.kind}`,
        { id: 'map-mismatch' },
      );
    out[KINDS[opened.kind]] = opened;
  }
  return out;
}

function isControl(kind: string): kind is keyof typeof KINDS {
  return Object.hasOwn(KINDS, kind);
}
