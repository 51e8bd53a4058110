/** @file Where a vector comes from: numbers in the document, a file, a run of this or another model (`donor.ts`). */
import { isAbsolute, join } from 'node:path';
import { donorVectors } from './donor.ts';
import { checkCounts, type PlacedEdit, wrongWidth } from './place.ts';
import type { Resolvers } from './resolvers.ts';
import { readVector } from './steering-file.ts';

/** The vectors of one edit: `values` [n, D] for a row; n = 1 serves every position. `statistic` is taken while the prompt runs. */
export type EditVectors =
  | { readonly kind: 'none' }
  | { readonly kind: 'prompt_mean'; readonly excludeFirst: boolean }
  | { readonly kind: 'values'; readonly ofRow: readonly Float32Array[] };

/** Load or compute the vectors of an edit for every prompt. */
export async function resolveVectors(place: PlacedEdit, resolvers: Resolvers): Promise<EditVectors> {
  const { model, edit, prompts, where } = place;
  if (!('vector' in edit)) return { kind: 'none' };
  const source = edit.vector;
  const d = model.config.dModel;
  const everywhere = (values: Float32Array): EditVectors => {
    const ofRow = prompts.map(() => values);
    return { kind: 'values', ofRow: checkCounts(ofRow, place) };
  };
  switch (source.from) {
    case 'statistic':
      return { kind: 'prompt_mean', excludeFirst: source.exclude_first };
    case 'inline': {
      const rows = source.values.map((row) => (typeof row === 'number' ? [row] : row));
      const flat = typeof source.values[0] === 'number' ? [rows.flat()] : rows;
      const ragged = flat.find((row) => row.length !== d);
      if (ragged !== undefined) throw wrongWidth(where, ragged.length, d);
      return everywhere(Float32Array.from(flat.flat()));
    }
    case 'file': {
      const path = isAbsolute(source.path) ? source.path : join(resolvers.folder ?? '', source.path);
      const { shape, data } = await readVector(path, source.key);
      const width = shape.at(-1) ?? 0;
      if (shape.length < 1 || shape.length > 2 || width !== d)
        throw wrongWidth(`${where}: ${source.key}`, width, d);
      return everywhere(data);
    }
    case 'run':
      return { kind: 'values', ofRow: await donorVectors(place, source, resolvers) };
  }
}
