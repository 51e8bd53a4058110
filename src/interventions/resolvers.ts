/** @file What lies above this layer, handed in: other models, fitted maps, the folder that paths are relative to. */
import { InputError } from '../base/index.ts';
import type { InterventionDocument } from '../contracts/index.ts';
import type { LanguageModel } from '../models/index.ts';

/** Rows [n, d_source] → [n, d_target]. */
export type RowMap = (rows: Float32Array) => Float32Array | Promise<Float32Array>;

/** The models and hooks that a map must be made for. */
interface MapHooks {
  readonly source: LanguageModel;
  readonly sourceHook: string;
  readonly target: LanguageModel;
  readonly targetHook: string;
}

/** A model as documents name it: path, bundled or hub name, with the folder of a PEFT adapter on it where there is one. */
export interface ModelName {
  readonly model: string;
  readonly adapter?: string | undefined;
}

/** See the file's head. */
export interface Resolvers {
  /** Open (or return the opened) model of that name; whoever gives the resolver disposes of it. */
  readonly openModel?: (name: ModelName) => Promise<LanguageModel>;
  /** Load a map's folder; it must refuse models, blocks and widths it was not made for. */
  readonly loadMap?: (folder: string, ends: MapHooks) => Promise<RowMap>;
  /** Folder that paths in the document are relative to. Defaults to the working directory. */
  readonly folder?: string;
  /** Donor rows read side by side. Defaults to 16. */
  readonly donorBatch?: number;
}

/** The models that a document names, each once: of its condition, then of its vectors. */
export function modelsOf({ when, interventions }: InterventionDocument): ModelName[] {
  const named: Partial<ModelName>[] = [];
  if (typeof when === 'object' && 'activation' in when) named.push(when.activation);
  for (const edit of interventions)
    if ('vector' in edit && edit.vector.from === 'run') named.push(edit.vector);
  const found = new Map<string, ModelName>();
  for (const { model, adapter } of named)
    if (model !== undefined) found.set(JSON.stringify([model, adapter]), { model, adapter });
  return [...found.values()];
}

/** The model that a vector or condition names, else `edited`; `where` begins the message when models cannot be opened. */
export async function readerOf(
  { model, adapter }: Partial<ModelName>,
  edited: LanguageModel,
  { openModel }: Resolvers,
  where: string,
): Promise<LanguageModel> {
  if (model === undefined) return edited;
  if (openModel === undefined)
    throw new InputError(`${where}: another model (${model}) cannot be opened here`, {
      id: 'intervention-invalid',
    });
  return openModel({ model, adapter });
}

/** The map in a folder; `where` begins the message when maps cannot be loaded. */
export async function loadedMap(
  folder: string,
  ends: MapHooks,
  { loadMap }: Resolvers,
  where: string,
): Promise<RowMap> {
  if (loadMap === undefined)
    throw new InputError(`${where}: the map ${folder} cannot be loaded here`, { id: 'intervention-invalid' });
  return loadMap(folder, ends);
}
