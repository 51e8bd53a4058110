/** @file The state of a training run in a folder, whole or absent; a resumed run goes on with the same bytes. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, withAtomicFolder } from '../base/index.ts';
import { readSafetensors, readTensorFloat32, writeSafetensors } from '../models/index.ts';
import type { Parameters } from './parameters.ts';

/** What must be equal for a run to be the same run, and where it stands. */
export interface TrainingState {
  /** Hash of everything that decides the bytes: settings, data, starting weights. */
  readonly identity: string;
  /** Steps finished. */
  readonly step: number;
  /** Mean training loss of every finished step. */
  readonly losses: readonly number[];
  readonly heldOut: readonly { readonly step: number; readonly loss: number }[];
}

/** The tensors of a run: trained parameters and both moments. */
export interface TrainingTensors {
  readonly parameters: Parameters;
  readonly first: Parameters;
  readonly second: Parameters;
}

const files = {
  parameters: 'parameters.safetensors',
  first: 'first.safetensors',
  second: 'second.safetensors',
} as const;

/** Write the state of a run; the former one stays until the new one is whole. */
export async function saveTrainingState(
  folder: string,
  state: TrainingState,
  tensors: TrainingTensors,
): Promise<void> {
  await withAtomicFolder(folder, async (part) => {
    for (const key of ['parameters', 'first', 'second'] as const) {
      await writeSafetensors(
        join(part, files[key]),
        [...tensors[key]].map(([name, data]) => ({
          name,
          dtype: 'F32' as const,
          shape: [data.length],
          data,
        })),
      );
    }
    await writeFile(join(part, 'state.json'), JSON.stringify(state));
  });
}

/**
 * Read a state into the given buffers. Undefined when there is none; an `InputError` when it belongs to another run.
 */
export async function loadTrainingState(
  folder: string,
  identity: string,
  tensors: TrainingTensors,
): Promise<TrainingState | undefined> {
  const text = await readFile(join(folder, 'state.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const state = JSON.parse(text) as TrainingState;
  if (state.identity !== identity) {
    throw new InputError(
      `${folder}: holds another training run (other settings, data or starting weights); choose another folder or remove it`,
    );
  }
  for (const key of ['parameters', 'first', 'second'] as const) {
    for (const info of (await readSafetensors(join(folder, files[key]))).tensors) {
      const into = tensors[key].get(info.name);
      const { data } = await readTensorFloat32(info);
      if (into?.length !== data.length)
        throw new InputError(
          `${folder}: ${key} has ${info.name} of ${data.length} values, wanted ${into?.length ?? 'none'}`,
        );
      into.set(data);
    }
  }
  return state;
}
