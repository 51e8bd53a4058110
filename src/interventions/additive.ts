/**
 * @file Steering as other tools know it: a vector per block, added at every position, strength in its length. What of an intervention can be
 * said so, and its files: GGUF control vectors (llama.cpp, repeng) and safetensors `direction.{L}`.
 */
import { defined, InputError, refuseForeignFile } from '../base/index.ts';
import type { InterventionDocument } from '../contracts/index.ts';
import { ggufEntry, parseHookName, writeGguf, writeSafetensors } from '../models/index.ts';
import { valuesOf } from './strength.ts';

/** Vectors [D] by block, as they are added after the block; and what an export of them leaves out. */
export interface AdditiveVectors {
  readonly vectors: ReadonlyMap<number, Float32Array>;
  /** For people: where the document says more than a file of vectors can. */
  readonly leaves: readonly string[];
}

/** Settings of {@link additiveVectors}. */
export interface AdditiveOptions {
  /** Take what is added at some positions, or under a condition, as added everywhere: another intervention, to be measured by itself. */
  readonly everywhere?: boolean;
}

/**
 * What a document adds after each block, strengths multiplied in. Its vectors must lie in it ({@link withVectorsInline}).
 *
 * @throws InputError for edits that are no addition to the residual stream after a block, and for those that choose positions or prompts, unless
 * `everywhere`
 */
export function additiveVectors(
  document: InterventionDocument,
  { everywhere = false }: AdditiveOptions = {},
): AdditiveVectors {
  const vectors = new Map<number, Float32Array>();
  const leaves = new Set<string>();
  const narrow = (where: string, what: string): void => {
    if (!everywhere)
      throw new InputError(
        `${where}: ${what}, and a file of vectors is added at every position of every prompt; --everywhere takes it as such, which is another intervention`,
        { id: 'intervention-invalid' },
      );
    leaves.add(what);
  };
  const { when = 'always' } = document;
  if (when !== 'always') narrow('when', 'it is carried out on some prompts only');
  for (const [i, edit] of document.interventions.entries()) {
    const where = `interventions.${i} (${edit.op} at ${edit.hook})`;
    const { layer, site } = parseHookName(edit.hook, Number.POSITIVE_INFINITY);
    if (edit.op !== 'add' || site !== 'resid_post' || edit.normalize === 'activation')
      throw new InputError(
        `${where}: wanted vectors added after blocks (op add at blocks.L.hook_resid_post); a file of vectors says nothing else`,
        { id: 'intervention-invalid' },
      );
    const { prompt, generation, exclude_first, ...others } = edit.tokens;
    const chosen = Object.values(others).some((value) => value !== undefined);
    if (prompt === undefined || generation === undefined || chosen)
      narrow(where, 'it is added at some positions only');
    else if (exclude_first) leaves.add('position 0 is left out here, and is not there');
    if (document.conflict !== 'sequential' && vectors.has(layer))
      throw new InputError(
        `${where}: meets another edit at its block, and the document says conflict: ${document.conflict}; wanted sequential, where both are added`,
        { id: 'intervention-invalid' },
      );
    const values = valuesOf(edit, where);
    const length = edit.normalize === 'unit' ? Math.hypot(...values) : 1;
    const sum = vectors.get(layer) ?? new Float32Array(values.length);
    values.forEach((x, j) => {
      sum[j] += (edit.scale * x) / length;
    });
    vectors.set(layer, sum);
  }
  return { vectors: new Map([...vectors].sort(([a], [b]) => a - b)), leaves: [...leaves] };
}

/** What a file says of its vectors besides them. */
export interface VectorFileFacts {
  /** `llama`, `qwen2`, `gemma3`, …; repeng wants to know. */
  readonly architecture: string;
  /** The model they steer. */
  readonly model?: string | undefined;
  /** Where they were taken from, when that is another file. */
  readonly origin?: string | undefined;
}

/**
 * A GGUF control vector: `direction.{L}` is added after block L, at every position, times the scale the user gives (1: as measured here).
 * Layout as repeng writes and llama.cpp reads it.
 *
 * @throws InputError for block 0, which llama.cpp has no place for, and for a file that is not its own
 */
export async function writeControlVector(
  path: string,
  vectors: ReadonlyMap<number, Float32Array>,
  { architecture, model }: VectorFileFacts,
): Promise<void> {
  if (vectors.has(0))
    throw new InputError(
      `${path}: a GGUF control vector has no place for block 0; choose another block, or write .safetensors`,
      { id: 'vector-invalid' },
    );
  await refuseForeignFile(path, (text) => text.startsWith('GGUF'));
  await writeGguf(path, {
    entries: [
      ggufEntry('general.architecture', 'string', 'controlvector'),
      ggufEntry('controlvector.model_hint', 'string', architecture),
      ggufEntry('controlvector.layer_count', 'u32', vectors.size),
      ggufEntry('crosspatch.scale', 'string', 'multiplied in: 1 is the strength of the document'),
      ...(model === undefined ? [] : [ggufEntry('crosspatch.model', 'string', model)]),
    ],
    tensors: [...vectors].map(([layer, values]) => ({
      name: `direction.${layer}`,
      shape: [values.length],
      type: 'F32',
      values: () => values,
    })),
  });
}

/** The same vectors as safetensors, `direction.{L}` float32 [D]. @throws InputError for a file that is not its own */
export async function writeDirections(
  path: string,
  vectors: ReadonlyMap<number, Float32Array>,
  { architecture, model, origin }: VectorFileFacts,
): Promise<void> {
  await refuseForeignFile(path, (text) => text.includes('"direction.'));
  await writeSafetensors(
    path,
    [...vectors].map(([layer, data]) => ({
      name: `direction.${layer}`,
      dtype: 'F32' as const,
      shape: [data.length],
      data,
    })),
    { format: 'pt', architecture, model: model ?? '', scale: 'multiplied in', ...defined({ origin }) },
  );
}
