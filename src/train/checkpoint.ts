/** @file The state of a training run in a folder, whole or absent; a resumed run goes on with the same bytes. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, withAtomicFolder, writeFileAtomic } from '../base/index.ts';
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

/** The tensors of a run: trained parameters, both moments, and the best weights so far where they are kept. */
export interface TrainingTensors {
  readonly parameters: Parameters;
  readonly first: Parameters;
  readonly second: Parameters;
  readonly best?: Parameters;
}

/**
 * Write the state of a run as `step-…` in `folder`. It appears whole by one rename and only then are former states
 * removed, so at any moment of a kill, a crash or a full disk there is a whole one once there was one.
 */
export async function saveTrainingState(
  folder: string,
  state: TrainingState,
  tensors: TrainingTensors,
): Promise<void> {
  const name = `step-${String(state.step).padStart(8, '0')}`;
  await withAtomicFolder(join(folder, name), async (part) => {
    for (const [kind, map] of Object.entries(tensors) as [string, Parameters][]) {
      await writeSafetensors(
        join(part, `${kind}.safetensors`),
        [...map].map(([tensor, data]) => ({
          name: tensor,
          dtype: 'F32' as const,
          shape: [data.length],
          data,
        })),
      );
    }
    await writeFileAtomic(join(part, 'state.json'), JSON.stringify(state));
  });
  await keepOnly(folder, name);
}

/**
 * Read the newest state into the given buffers. Undefined when there is none; an `InputError` when it belongs to another run.
 */
export async function loadTrainingState(
  folder: string,
  identity: string,
  tensors: TrainingTensors,
): Promise<TrainingState | undefined> {
  const newest = (await names(folder)).filter((name) => /^step-\d+$/.test(name)).at(-1);
  if (newest === undefined) return undefined;
  const at = join(folder, newest);
  const state = JSON.parse(await readFile(join(at, 'state.json'), 'utf8')) as TrainingState;
  if (state.identity !== identity) {
    throw new InputError(
      `${folder}: holds another training run (other settings, data or starting weights); choose another folder or remove it`,
    );
  }
  for (const [kind, map] of Object.entries(tensors) as [string, Parameters][]) {
    for (const info of (await readSafetensors(join(at, `${kind}.safetensors`))).tensors) {
      const into = map.get(info.name);
      const { data } = await readTensorFloat32(info);
      if (into?.length !== data.length)
        throw new InputError(
          `${at}: ${kind} has ${info.name} of ${data.length} values, wanted ${into?.length ?? 'none'}; remove ${folder} to start anew`,
        );
      into.set(data);
    }
  }
  return state;
}

/** Remove former states and what killed runs left half-written. */
async function keepOnly(folder: string, name: string): Promise<void> {
  for (const other of await names(folder)) {
    if (other !== name && /^\.?step-\d+/.test(other))
      await rm(join(folder, other), { recursive: true, force: true });
  }
}

/** Sorted names in a folder; none when it is not there. */
async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1));
}
