/**
 * @file A folder of steering vectors: `vectors.safetensors` (`direction.{L}` [D] float32, L the block whose output it belongs to),
 * `vector.json` (where it is from and how good it is), `intervention.json` (a document that `generate --intervention` takes), sealed.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  brokenSeal,
  hashFile,
  InputError,
  parseJson,
  withAtomicFolder,
  writeJsonAtomic,
} from '../base/index.ts';
import {
  type InterventionDocument,
  parseIntervention,
  type VectorRecord,
  vectorRecordSchema,
} from '../contracts/index.ts';
import { hookNames, residPost, writeSafetensors } from '../models/index.ts';
import { readSteeringVectors } from './steering-file.ts';

/** Name of the tensors within the folder. */
const TENSORS = 'vectors.safetensors';

/** Vectors by block, and what is known of them; a bare file of vectors has no record. */
export interface VectorFolder {
  readonly vectors: ReadonlyMap<number, Float32Array>;
  readonly record?: VectorRecord;
  /** Of the file of tensors. */
  readonly sha256: string;
}

/** Write the folder, whole or not at all. @throws InputError when it holds what crosspatch did not write */
export async function writeVectorFolder(
  path: string,
  { vectors, record }: { readonly vectors: ReadonlyMap<number, Float32Array>; readonly record: VectorRecord },
): Promise<void> {
  const tensors = [...vectors].map(([block, data]) => ({
    name: `direction.${block}`,
    dtype: 'F32' as const,
    shape: [data.length],
    data,
  }));
  await withAtomicFolder(path, async (folder) => {
    await writeSafetensors(join(folder, TENSORS), tensors, {
      format: 'pt',
      model: record.model.name,
      method: record.method,
      unit: record.unit,
    });
    await writeJsonAtomic(join(folder, 'vector.json'), vectorRecordSchema.parse(record));
    await writeJsonAtomic(join(folder, 'intervention.json'), vectorDocument(record));
  });
}

/**
 * The recommended use of a record's vectors: α times the vector of its block added at every position but the first; a refusal direction
 * is projected out of all that is written to the residual stream. The path of the tensors is relative to the document.
 */
export function vectorDocument(record: VectorRecord): InterventionDocument {
  const { block, alpha } = record.recommended;
  const vector = { from: 'file', path: TENSORS, key: `direction.${block}` } as const;
  const everywhere = { prompt: 'all', generation: 'all' } as const;
  const edits =
    record.method === 'refusal'
      ? writtenHooks(record.model.blocks ?? block + 1).map((hook) => ({
          op: 'project',
          hook,
          tokens: everywhere,
          vector,
        }))
      : [
          {
            op: 'add',
            hook: residPost(block),
            tokens: { ...everywhere, exclude_first: true },
            vector,
            scale: alpha,
          },
        ];
  return parseIntervention({
    name: `${record.method} at block ${block}`,
    model: record.model.name,
    interventions: edits,
  });
}

/** Where the residual stream has just been written to: the embedding, and after attention and MLP of every block. */
export function writtenHooks(nLayers: number): string[] {
  return hookNames(nLayers).filter((name) => /^hook_embed$|resid_(mid|post)$/.test(name));
}

/** Read a folder made by {@link writeVectorFolder}, or a bare `.safetensors` or `.gguf` file of `direction.{L}`. */
export async function readVectorFolder(path: string): Promise<VectorFolder> {
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isFolder) return { vectors: await readSteeringVectors(path), sha256: await hashFile(path) };
  const file = join(path, 'vector.json');
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new InputError(`${path}: wanted a folder with vector.json, made by crosspatch vector`, {
      id: 'vector-invalid',
      cause,
    });
  });
  const parsed = vectorRecordSchema.safeParse(parseJson(text, file));
  if (!parsed.success)
    throw new InputError(`${file}: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`, {
      id: 'vector-invalid',
    });
  const broken = await brokenSeal(path);
  if (broken !== undefined && !broken.endsWith(' was added'))
    throw new InputError(`${path}: ${broken} after it was written; make the vector again`, {
      id: 'vector-invalid',
    });
  const tensors = join(path, TENSORS);
  return {
    vectors: await readSteeringVectors(tensors),
    record: parsed.data,
    sha256: await hashFile(tensors),
  };
}
