/** @file The state of a training run in a folder, whole or absent; a resumed run goes on with the same bytes. */
import { readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { brokenSeal, InputError, withAtomicFolder, writeFileAtomic } from '../base/index.ts';
import { readSafetensors, readTensorFloat32, writeSafetensors } from '../models/index.ts';
import type { Parameters } from './parameters.ts';

const stateSchema = z.strictObject({
  /** Hash of everything that decides the bytes: settings, data, starting weights. */
  identity: z.string(),
  /** Steps finished. */
  step: z.int().min(0),
  /** Mean training loss of every finished step. */
  losses: z.array(z.number()),
  heldOut: z.array(z.strictObject({ step: z.int().min(0), loss: z.number() })),
});
/** What must be equal for a run to be the same run, and where it stands. */
type TrainingState = Readonly<z.infer<typeof stateSchema>>;

/** The tensors of a run: trained parameters, both moments, and the best weights so far where they are kept. */
interface TrainingTensors {
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
  const fill = async (part: string): Promise<void> => {
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
  };
  await withAtomicFolder(join(folder, name), fill, { cache: true });
  await keepOnly(folder, name);
}

/**
 * Read the newest whole state into the given buffers; one that was damaged counts as absent. Undefined when there is none; an
 * `InputError` when it belongs to another run.
 */
export async function loadTrainingState(
  folder: string,
  identity: string,
  tensors: TrainingTensors,
): Promise<TrainingState | undefined> {
  const at = await newestWhole(folder);
  if (at === undefined) return undefined;
  const state = stateSchema.parse(JSON.parse(await readFile(join(at, 'state.json'), 'utf8')));
  if (state.identity !== identity) {
    throw new InputError(
      `${folder}: holds another training run (other settings, data or starting weights); choose another folder or remove it`,
      { id: 'out-not-ours' },
    );
  }
  for (const [kind, map] of Object.entries(tensors) as [string, Parameters][]) {
    for (const info of (await readSafetensors(join(at, `${kind}.safetensors`))).tensors) {
      const into = map.get(info.name);
      const { data } = await readTensorFloat32(info);
      if (into?.length !== data.length)
        throw new InputError(
          `${at}: ${kind} has ${info.name} of ${data.length} values, wanted ${into?.length ?? 'none'}; remove ${folder} to start again`,
          { id: 'out-not-ours' },
        );
      into.set(data);
    }
  }
  return state;
}

/** Remove the states of a run that ended, and the folder unless something else lies in it. */
export async function removeTrainingState(folder: string): Promise<void> {
  await keepOnly(folder, undefined);
  await rmdir(folder).catch(() => {});
}

/** Folder of the newest state whose every byte is as it was written. */
async function newestWhole(folder: string): Promise<string | undefined> {
  for (const name of (await names(folder)).filter((n) => STATE.test(n)).toReversed())
    if ((await brokenSeal(join(folder, name))) === undefined) return join(folder, name);
  return undefined;
}

const STATE = /^step-\d{8}$/;
const LEFTOVER = /^\.step-\d{8}\..*\.part$/;

/** Remove former states and what killed runs left half-written. */
async function keepOnly(folder: string, name: string | undefined): Promise<void> {
  for (const other of await names(folder)) {
    if (other !== name && (STATE.test(other) || LEFTOVER.test(other)))
      await rm(join(folder, other), { recursive: true, force: true });
  }
}

/** Sorted names in a folder; none when it is not there. */
async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).toSorted((a, b) => (a < b ? -1 : 1));
}
