/** @file A document that is written to another folder than it was read from: it stands alone, or its paths lead where they led. */
import { isAbsolute, join, relative, sep } from 'node:path';
import type { InterventionDocument, VectorSource } from '../contracts/index.ts';
import type { ModelName } from './resolvers.ts';
import { withVectorsInline } from './strength.ts';

/**
 * `document`, read from `file`, as it must be written into the folder `into`: vectors of files within it, models, adapters and maps relative to
 * `into`. A model is a path where it begins with `./` or `../`, as the command line reads it.
 *
 * @throws InputError for a file of vectors that cannot be read
 */
export async function movedDocument(
  document: InterventionDocument,
  file: string,
  { from, into }: { readonly from: string; readonly into: string },
): Promise<InterventionDocument> {
  const moved = (path: string): string => {
    if (isAbsolute(path)) return path;
    const there = relative(into, join(from, path)).split(sep).join('/');
    return there.startsWith('../') ? there : `./${there}`;
  };
  const { interventions, when, ...rest } = await withVectorsInline(document, file);
  return {
    ...rest,
    when:
      typeof when === 'object' && 'activation' in when
        ? { activation: { ...when.activation, ...movedModel(when.activation, moved) } }
        : when,
    interventions: interventions.map((edit) =>
      'vector' in edit && edit.vector.from === 'run'
        ? { ...edit, vector: movedRun(edit.vector, moved) }
        : edit,
    ),
  };
}

function movedRun(
  source: Extract<VectorSource, { from: 'run' }>,
  moved: (path: string) => string,
): Extract<VectorSource, { from: 'run' }> {
  const { map } = source;
  return { ...source, ...movedModel(source, moved), map: map === undefined ? undefined : moved(map) };
}

function movedModel(
  { model, adapter }: Partial<ModelName>,
  moved: (path: string) => string,
): Partial<ModelName> {
  return {
    model: model !== undefined && /^\.\.?[\\/]/.test(model) ? moved(model) : model,
    adapter: adapter === undefined ? undefined : moved(adapter),
  };
}
