/**
 * @file Judges that are local ONNX models (docs/concepts/method.md#judges). `embedding`: the cosine of the two texts' embeddings, mean over
 * tokens (Reimers and Gurevych 2019, arXiv 1908.10084). `pair`: a regression that reads both texts, reference first, as BLEURT does
 * (Sellam et al. 2020, arXiv 2004.04696).
 */
import { CrosspatchError, disposeAll, type Owned } from '../../base/index.ts';
import type { OnnxJudgeParams } from '../../contracts/index.ts';
import { locateTextModel, type TextModelPlace, textModelError } from '../text-model/place.ts';
import { openReader, type TextReader } from '../text-model/reader.ts';
import { type RowOutput, TextModel } from '../text-model/text-model.ts';
import type { Judge, JudgePair } from './judge.ts';

interface JudgeEnv {
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What the numbers are. */
const METRICS = { embedding: 'cosine', pair: 'regression' } as const satisfies Record<
  OnnxJudgeParams['kind'],
  string
>;

/** Open judges, each with the folder of its files. Throws InputError for a model or tokenizer of another kind. */
export async function openOnnxJudges(
  wanted: readonly { readonly folder: string; readonly settings: OnnxJudgeParams }[],
  env: JudgeEnv,
): Promise<{ readonly judges: readonly Judge[] } & Owned> {
  const judges: (Judge & Owned)[] = [];
  const close = (): Promise<void> => disposeAll(judges);
  try {
    for (const { folder, settings } of wanted) judges.push(await openOne(folder, settings, env));
  } catch (error) {
    await close();
    throw error;
  }
  return { judges, [Symbol.asyncDispose]: close };
}

/** Where a judge's files are; `path` is its ONNX file or a folder. Throws InputError for one that is missing and for a tokenizer of another kind. */
export async function locateOnnxJudge(
  path: string,
  reading: Pick<OnnxJudgeParams, 'kind' | 'max_tokens'>,
): Promise<TextModelPlace> {
  const place = await locateTextModel(path, 'judge');
  await openJudgeReader(place, reading);
  return place;
}

async function openJudgeReader(
  place: TextModelPlace,
  { kind, max_tokens }: Pick<OnnxJudgeParams, 'kind' | 'max_tokens'>,
): Promise<TextReader> {
  const reader = await openReader(place, 'judge', max_tokens);
  if (kind === 'pair') reader.pair('', '');
  return reader;
}

async function openOne(folder: string, settings: OnnxJudgeParams, env: JudgeEnv): Promise<Judge & Owned> {
  const { kind, name, file } = settings;
  const place = { folder, file };
  const reader = await openJudgeReader(place, settings);
  const model = await TextModel.open(place, 'judge', env);
  const given = { model, reader, signal: env.signal };
  return {
    name,
    metric: METRICS[kind],
    score: (pairs) => (kind === 'pair' ? regressions(given, pairs) : cosines(given, pairs)),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

interface Given {
  readonly model: TextModel;
  readonly reader: TextReader;
  readonly signal: AbortSignal | undefined;
}

async function cosines({ model, reader, signal }: Given, pairs: readonly JudgePair[]): Promise<number[]> {
  const texts = [...new Set(pairs.flatMap(({ candidate, reference }) => [candidate, reference]))];
  const rows = texts.map((text) => ({ text, ...reader.row(text) })).filter(({ ids }) => ids.length > 0);
  const found = new Map<string, Float64Array>();
  const output = model.output('sentence_embedding', 'last_hidden_state', 'token_embeddings');
  const take = (i: number, made: RowOutput): void => {
    found.set((rows[i] as (typeof rows)[number]).text, unit(meanOf(made, model.path)));
  };
  await model.run(rows, output, take, signal);
  return pairs.map(({ candidate, reference }) => {
    const a = found.get(candidate);
    const b = found.get(reference);
    // A text without any token is like another such, and like nothing else.
    if (a === undefined || b === undefined) return a === b ? 1 : 0;
    return a.reduce((sum, x, k) => sum + x * (b[k] as number), 0);
  });
}

/** [T,D] → mean over T; [D] as it is. */
function meanOf({ data, shape }: RowOutput, path: string): Float64Array {
  const d = shape.at(-1);
  if (d === undefined || d === 1 || shape.length > 2)
    throw textModelError(
      'judge',
      `${path}: wanted an output [texts, tokens, width] or [texts, width] to compare, got [${['texts', ...shape].join(', ')}]${d === 1 ? '; a model that gives one number for two texts is of the kind pair' : ''}`,
    );
  const mean = new Float64Array(d);
  data.forEach((x, i) => {
    mean[i % d] = (mean[i % d] as number) + x;
  });
  return mean.map((x) => (x * d) / data.length);
}

function unit(vector: Float64Array): Float64Array {
  const norm = Math.hypot(...vector);
  if (!Number.isFinite(norm)) throw notFinite();
  return norm === 0 ? vector : vector.map((x) => x / norm);
}

async function regressions({ model, reader, signal }: Given, pairs: readonly JudgePair[]): Promise<number[]> {
  const rows = pairs.map(({ candidate, reference }) => reader.pair(reference, candidate));
  const scores = rows.map(() => 0);
  const output = model.output('logits');
  const take = (i: number, { data, shape }: RowOutput): void => {
    if (data.length !== 1)
      throw textModelError(
        'judge',
        `${model.path}: wanted one number for a pair of texts, got [${shape.join(', ')}]`,
      );
    scores[i] = data[0] as number;
  };
  await model.run(rows, output, take, signal);
  if (!scores.every(Number.isFinite)) throw notFinite();
  return scores;
}

function notFinite(): CrosspatchError {
  return new CrosspatchError('judge: a score is not a number; the weights hold NaN or infinity', {
    id: 'not-a-number',
  });
}
