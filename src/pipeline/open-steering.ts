/** @file A steering page's question, with models and vectors given by their paths: reads or makes the vectors, then asks. */
import { basename } from 'node:path';
import { hashJson, InputError, parseJson, readTextLimited, silent } from '../base/index.ts';
import type { TemplateName } from '../behaviours/index.ts';
import {
  type InterventionDocument,
  parseIntervention,
  type VectorBlock,
  type VectorPosition,
  vectorSettings,
} from '../contracts/index.ts';
import {
  experimentEnv,
  listSet,
  type SteerEvent,
  type SteeringVectors,
  type SteerSite,
  splitContrasts,
  steerEdit,
  steering,
  steeringVectors,
  templatedPrompt,
} from '../evaluate/index.ts';
import { atStrength, readVectorFolder, withVectorsInline } from '../interventions/index.ts';
import { type LanguageModel, userTurn } from '../models/index.ts';

/** Two lists of texts that differ in one thing, and how they are read. */
export interface SteerTexts {
  readonly positive: readonly string[];
  readonly negative: readonly string[];
  readonly template: TemplateName;
  readonly position: VectorPosition;
}

/** A vector of the page: of a folder or file, made of two lists of texts, or a whole document with its own sites. */
export type SteerVector =
  | ({ readonly from: 'file'; readonly path: string } & SteerSite)
  | ({ readonly from: 'texts'; readonly texts: SteerTexts } & SteerSite)
  | {
      readonly from: 'document';
      readonly path: string;
      readonly alpha: number;
      /** Folder that the files it names must lie in. Defaults to anywhere. */
      readonly within?: string;
    };

/** One question, with paths. */
export interface SteerPaths {
  readonly model: string;
  readonly text: string;
  readonly template: TemplateName;
  readonly system?: string;
  readonly vectors: readonly SteerVector[];
  readonly strengths: readonly number[];
  readonly seeds: readonly number[];
  readonly temperature: number;
  readonly maxTokens: number;
}

/** What a page shows of vectors made of texts. */
export interface MadeVectors {
  readonly blocks: readonly VectorBlock[];
  readonly recommended: SteeringVectors['recommended'];
  readonly pairs: { readonly paired: boolean; readonly train: number; readonly held_out: number };
}

type Open = (path: string) => Promise<LanguageModel>;

/** Most bytes read of an intervention document: the vectors of a model of width 8192 in every place of 100 blocks. */
const LARGEST_DOCUMENT = 256 << 20;
/** Vectors made of texts that are kept for the next question. */
const KEPT = 8;
const made = new Map<string, SteeringVectors & { readonly pairs: MadeVectors['pairs'] }>();

/** {@link steering}; models come from `open`, who also closes them. */
export async function* openSteering(
  paths: SteerPaths,
  open: Open,
  signal?: AbortSignal,
): AsyncGenerator<SteerEvent, void, undefined> {
  yield { type: 'status', message: 'opening the model' };
  const model = await open(paths.model);
  yield { type: 'status', message: 'reading the vectors' };
  const { document, lenses } = await documentOf(model, paths.vectors, signal);
  const { strengths, seeds, temperature, maxTokens } = paths;
  const prompt = templatedPrompt(model.tokenizer, paths.text, {
    template: paths.template,
    turn: { system: paths.system },
  });
  yield* steering(model, { prompt, document, lenses, strengths, seeds, temperature, maxTokens }, signal);
}

/** The intervention document of a question at one strength, its vectors within it: a file that stands alone. */
export async function steerDocument(
  { model: path, vectors, strength }: Pick<SteerPaths, 'model' | 'vectors'> & { readonly strength: number },
  open: Open,
  signal?: AbortSignal,
): Promise<InterventionDocument> {
  const model = await open(path);
  const { document } = await documentOf(model, vectors, signal);
  return atStrength(document, strength);
}

/** Vectors of a model from two lists of texts, by mean difference, with how well they separate texts they were not made of. */
export async function makeSteerVectors(
  path: string,
  texts: SteerTexts,
  open: Open,
  signal?: AbortSignal,
): Promise<MadeVectors> {
  const { blocks, recommended, pairs } = await vectorsOfTexts(await open(path), texts, signal);
  return { blocks, recommended, pairs };
}

/** All vectors as one document, and one edit per vector to measure tokens along. */
async function documentOf(
  model: LanguageModel,
  vectors: readonly SteerVector[],
  signal: AbortSignal | undefined,
): Promise<{ document: InterventionDocument; lenses: number[] }> {
  const interventions: InterventionDocument['interventions'] = [];
  const lenses: number[] = [];
  for (const [i, vector] of vectors.entries()) {
    const where = `vector ${i + 1}`;
    lenses.push(interventions.length);
    if (vector.from === 'document') {
      const document = await readDocument(vector);
      refuseOther(where, model, document.model);
      const at = document.interventions.findIndex(({ hook }) => hook.endsWith('hook_resid_post'));
      lenses[i] = interventions.length + Math.max(0, at);
      interventions.push(...atStrength(document, vector.alpha).interventions);
    } else interventions.push(steerEdit(await valuesAt(model, vector, where, signal), vector));
  }
  const name = vectors.length === 1 ? 'steering' : `steering, ${vectors.length} vectors`;
  return {
    document: parseIntervention({ name, model: basename(model.checkpoint.path), interventions }),
    lenses,
  };
}

async function valuesAt(
  model: LanguageModel,
  vector: Exclude<SteerVector, { from: 'document' }>,
  where: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { block } = vector;
  const vectors =
    vector.from === 'texts'
      ? (await vectorsOfTexts(model, vector.texts, signal)).vectors
      : await vectorsOfFile(model, vector.path, where);
  const values = vectors.get(block);
  if (values !== undefined) return values;
  throw new InputError(
    `${where}: holds no vector of block ${block}; it has ${[...vectors.keys()].join(', ')}`,
    {
      id: 'block-unknown',
    },
  );
}

async function vectorsOfFile(
  model: LanguageModel,
  path: string,
  where: string,
): Promise<ReadonlyMap<number, Float32Array>> {
  const { vectors, record } = await readVectorFolder(path);
  if (record !== undefined && record.model.sha256 !== (await model.checkpoint.contentHash()))
    throw new InputError(
      `${where}: was made for another model (${record.model.name}), this one is ${basename(model.checkpoint.path)}; choose that model, or carry the vector over with crosspatch map apply`,
      { id: 'map-mismatch' },
    );
  return vectors;
}

async function vectorsOfTexts(model: LanguageModel, texts: SteerTexts, signal: AbortSignal | undefined) {
  const key = hashJson({ model: await model.checkpoint.contentHash(), ...texts });
  const known = made.get(key);
  made.delete(key);
  const { template, position } = texts;
  const lists = {
    positive: texts.positive.map((text, i) => ({ id: String(i + 1), text })),
    negative: texts.negative.map((text, i) => ({ id: String(i + 1), text })),
  };
  const make = async () => {
    const set = listSet(model.tokenizer, lists, { template, chat: userTurn(model.tokenizer), position });
    const settings = vectorSettings.parse({ position });
    const env = experimentEnv('vector', {
      seed: 0,
      progress: silent,
      signal: signal ?? new AbortController().signal,
    });
    const split = splitContrasts(set, settings.held_out, env.rng.fork('split'));
    const { train, held } = split;
    return {
      ...(await steeringVectors(model, split, { ...settings, method: 'mean-difference' }, env)),
      pairs: { paired: set.paired, train: train.positive.length, held_out: held.positive.length },
    };
  };
  const found = known ?? (await make());
  made.set(key, found);
  for (const [oldest] of made) {
    if (made.size <= KEPT) break;
    made.delete(oldest);
  }
  return found;
}

async function readDocument({
  path,
  within,
}: Extract<SteerVector, { from: 'document' }>): Promise<InterventionDocument> {
  const text = await readTextLimited(path, LARGEST_DOCUMENT);
  return withVectorsInline(parseIntervention(parseJson(text, basename(path)), basename(path)), path, within);
}

function refuseOther(where: string, model: LanguageModel, name: string | undefined): void {
  const { path } = model.checkpoint;
  if (name === undefined || [path, basename(path)].includes(name)) return;
  throw new InputError(`${where}: made for the model ${name}, this one is ${basename(path)}`, {
    id: 'map-mismatch',
  });
}
