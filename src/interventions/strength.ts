/** @file One document at many strengths, beside a random one as large, with its vectors in it: what a steering page runs and saves. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { InputError, type Rng } from '../base/index.ts';
import type { Intervention, InterventionDocument } from '../contracts/index.ts';
import { norm } from './ops.ts';
import { readVector } from './steering-file.ts';

/**
 * The document with every edit `factor` times as strong: `add` is scaled, of `project` that share is removed.
 *
 * @throws InputError for ops that have no strength
 */
export function atStrength(document: InterventionDocument, factor: number): InterventionDocument {
  return withEdits(document, (edit, where) => {
    if (edit.op === 'add') return { ...edit, scale: edit.scale * factor };
    if (edit.op === 'project') return { ...edit, alpha: edit.alpha * factor };
    throw new InputError(`${where}: the op ${edit.op} has no strength; wanted add or project`, {
      id: 'intervention-invalid',
    });
  });
}

/** The document with a random direction as long in place of every vector it holds; equal vectors stay equal. */
export function withRandomVectors(document: InterventionDocument, rng: Rng): InterventionDocument {
  const drawn = new Map<string, number[]>();
  return withEdits(document, (edit, where) => {
    const values = valuesOf(edit, where);
    const key = values.join();
    const noise = drawn.get(key) ?? randomAsLong(values, rng);
    drawn.set(key, noise);
    return { ...edit, vector: { from: 'inline', values: noise } } as Intervention;
  });
}

/**
 * The document with the vectors of its files in it: it then stands alone. `file`: where it was read from; `within`: the folder that the
 * files of vectors must lie in (a real path; defaults to anywhere).
 *
 * @throws InputError for a file that is not there, leads out, or holds no such vector
 */
export async function withVectorsInline(
  document: InterventionDocument,
  file: string,
  within?: string,
): Promise<InterventionDocument> {
  const interventions: Intervention[] = [];
  for (const edit of document.interventions) {
    if (!('vector' in edit) || edit.vector.from !== 'file') {
      interventions.push(edit);
      continue;
    }
    const { path, key } = edit.vector;
    const from = isAbsolute(path) ? path : join(dirname(file), path);
    if (within !== undefined) await refuseOutside(from, within);
    const { data, shape } = await readVector(from, key);
    const width = shape.at(-1) ?? data.length;
    const rows = Array.from({ length: data.length / width }, (_, i) => [
      ...data.subarray(i * width, (i + 1) * width),
    ]);
    const values = shape.length === 1 ? [...data] : rows;
    interventions.push({ ...edit, vector: { from: 'inline', values } });
  }
  return { ...document, interventions };
}

/**
 * The vector [D] that an edit holds.
 *
 * @throws InputError for an edit without one, or with one per position
 */
export function valuesOf(edit: Intervention, where: string): readonly number[] {
  const source = 'vector' in edit ? edit.vector : undefined;
  if (source?.from === 'inline' && typeof source.values[0] === 'number') return source.values as number[];
  throw new InputError(
    `${where}: wanted one vector from a file or within the document, got ${source === undefined ? 'none' : `one from: ${source.from}`}`,
    { id: 'intervention-invalid' },
  );
}

async function refuseOutside(path: string, within: string): Promise<void> {
  const real = await realpath(path).catch((cause: unknown) => {
    throw new InputError(`vector file ${basename(path)}: not there`, { id: 'file-unreadable', cause });
  });
  const inside = relative(within, real);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside))
    throw new InputError(`vector file ${basename(path)}: lies outside ${basename(within)}; copy it there`, {
      id: 'vector-invalid',
    });
}

function randomAsLong(values: readonly number[], rng: Rng): number[] {
  const noise = values.map(() => rng.normal());
  const size = norm(values) / norm(noise);
  return noise.map((x) => x * size);
}

function withEdits(
  document: InterventionDocument,
  change: (edit: Intervention, where: string) => Intervention,
): InterventionDocument {
  const interventions = document.interventions.map((edit, i) =>
    change(edit, `interventions.${i} (${edit.op} at ${edit.hook})`),
  );
  return { ...document, interventions };
}
