/** @file Vectors that another tool made, taken in: checked, their origin stated, and as a document that stands alone. */
import { basename } from 'node:path';
import { defined, hashFile, InputError } from '../base/index.ts';
import { type InterventionDocument, parseIntervention } from '../contracts/index.ts';
import { type ModelConfig, residPost } from '../models/index.ts';
import { norm } from './ops.ts';
import { readDirections } from './steering-file.ts';

/** Vectors [D] by the block after which they are added, strength multiplied in. */
interface ImportedVectors {
  readonly vectors: ReadonlyMap<number, Float32Array>;
  /** For people: the file, its hash, what it says of itself. */
  readonly origin: string;
  /** Family the file names, as transformers calls it (`llama`, `qwen2`); empty where it names none. */
  readonly architecture: string;
  /** What of the file was not taken, and what does not go together; for people. */
  readonly notes: readonly string[];
}

/** Settings of {@link importVectors}. */
interface ImportOptions {
  /** Factor on every vector. Defaults to 1. */
  readonly scale?: number;
  /** Only these blocks. Defaults to all of the file. */
  readonly blocks?: readonly number[];
  /** The model they are for, and its name in messages. */
  readonly model?: { readonly name: string; readonly config: ModelConfig };
}

/**
 * The `direction.{L}` of a GGUF control vector or a safetensors file.
 *
 * @throws InputError when there are none, when one changes nothing, when their widths differ, or when the model has no such width or block
 */
export async function importVectors(
  path: string,
  { scale = 1, blocks, model }: ImportOptions = {},
): Promise<ImportedVectors> {
  const { vectors: all, others, facts } = await readDirections(path);
  const kind = facts['general.architecture'];
  if (kind !== undefined && kind !== 'controlvector')
    throw invalid(`${path}: wanted a GGUF of general.architecture controlvector, got ${kind}`);
  for (const block of blocks ?? [])
    if (!all.has(block))
      throw invalid(`${path}: holds no direction.${block}; it has blocks ${[...all.keys()].join(', ')}`);
  const kept = [...all].filter(([block]) => blocks?.includes(block) ?? true);
  const width = kept[0]?.[1].length;
  for (const [block, { length }] of kept)
    if (length !== width)
      throw invalid(
        `${path}: direction.${block} has ${length} numbers, direction.${kept[0]?.[0]} has ${width}; vectors of one model have one width`,
      );
  const vectors = new Map(kept.map(([block, v]) => [block, v.map((x) => x * scale)]));
  for (const [block, v] of vectors) {
    if (norm(v) === 0)
      throw invalid(
        `${path}: direction.${block} times ${scale} is zero and would change nothing; leave that block out (--blocks)`,
      );
    if (model !== undefined) refuseMisfit(path, block, v.length, model);
  }
  const architecture = facts['controlvector.model_hint'] ?? facts.architecture ?? '';
  const tool = facts['general.name'] ?? facts.made_by;
  const said = [tool, architecture === '' ? undefined : `for ${architecture}`].filter((x) => x !== undefined);
  return {
    vectors,
    origin: [`${basename(path)} (sha256 ${(await hashFile(path)).slice(0, 16)})`, ...said].join(', '),
    architecture,
    notes: notesOf({ others, architecture, family: model?.config.modelType }),
  };
}

/** Each vector added after its block at every position, the numbers in the document. */
export function importedDocument(
  { vectors, origin }: Pick<ImportedVectors, 'vectors' | 'origin'>,
  model?: string,
): InterventionDocument {
  return parseIntervention({
    schema_version: 1,
    name: `from ${origin}`,
    ...defined({ model }),
    interventions: [...vectors].map(([block, values]) => ({
      op: 'add',
      hook: residPost(block),
      tokens: { prompt: 'all', generation: 'all' },
      vector: { from: 'inline', values: [...values] },
    })),
  });
}

function refuseMisfit(
  path: string,
  block: number,
  width: number,
  { name, config }: NonNullable<ImportOptions['model']>,
): void {
  if (width !== config.dModel || block >= config.blocks.length)
    throw invalid(
      `${path}: direction.${block} has ${width} numbers; ${name} has width ${config.dModel} and blocks 0…${config.blocks.length - 1}`,
    );
}

function notesOf({
  others,
  architecture,
  family,
}: {
  readonly others: readonly string[];
  readonly architecture: string;
  readonly family: string | undefined;
}): string[] {
  const notes: string[] = [];
  if (others.length > 0)
    notes.push(`not taken, since only direction.L is read: ${others.slice(0, 8).join(', ')}`);
  if (family !== undefined && !['', 'unknown', family].includes(architecture))
    notes.push(`the file is for a model of family ${architecture}, this one is ${family}`);
  return notes;
}

function invalid(message: string): InputError {
  return new InputError(message, { id: 'vector-invalid' });
}
