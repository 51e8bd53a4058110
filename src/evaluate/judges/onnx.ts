/**
 * @file Judges that are local ONNX models (docs/concepts/method.md#judges). `embedding`: the cosine of the two texts' embeddings, mean over
 * tokens (Reimers and Gurevych 2019, arXiv 1908.10084). `pair`: a regression that reads both texts, reference first, as BLEURT does
 * (Sellam et al. 2020, arXiv 2004.04696).
 */
import { CrosspatchError, disposeAll, type Owned } from '../../base/index.ts';
import type { OnnxJudgeParams } from '../../contracts/index.ts';
import { loadTokenizer, type Tokenizer } from '../../models/index.ts';
import { textModelError } from '../text-model/place.ts';
import { type RowOutput, TextModel, type TextRow, truncatedIds } from '../text-model/text-model.ts';
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

async function openOne(folder: string, settings: OnnxJudgeParams, env: JudgeEnv): Promise<Judge & Owned> {
  const { kind, name, file, max_tokens } = settings;
  const tokenizer = await loadTokenizer({ folder });
  if (kind === 'pair') checkPairs(tokenizer, folder);
  const model = await TextModel.open({ folder, file }, 'judge', env);
  const given = { model, tokenizer, most: max_tokens, signal: env.signal };
  return {
    name,
    metric: METRICS[kind],
    score: (pairs) => (kind === 'pair' ? regressions(given, pairs) : cosines(given, pairs)),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

interface Given {
  readonly model: TextModel;
  readonly tokenizer: Tokenizer;
  /** Tokens of a row, at most. */
  readonly most: number;
  readonly signal: AbortSignal | undefined;
}

async function cosines(
  { model, tokenizer, most, signal }: Given,
  pairs: readonly JudgePair[],
): Promise<number[]> {
  const texts = [...new Set(pairs.flatMap(({ candidate, reference }) => [candidate, reference]))];
  const rows = texts
    .map((text) => ({ text, ids: truncatedIds(tokenizer, text, most) }))
    .filter(({ ids }) => ids.length > 0);
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
  if (d === undefined || shape.length > 2)
    throw textModelError(
      'judge',
      `${path}: wanted an output [texts, tokens, width] or [texts, width], got [texts, ${shape.join(', ')}]`,
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

async function regressions(
  { model, tokenizer, most, signal }: Given,
  pairs: readonly JudgePair[],
): Promise<number[]> {
  // The two share one token: the mark between them.
  const each = Math.max(1, Math.floor((most + 1) / 2));
  const rows = pairs.map(({ candidate, reference }): TextRow => {
    const first = truncatedIds(tokenizer, reference, each);
    const second = truncatedIds(tokenizer, candidate, each).slice(1);
    return {
      ids: [...first, ...second],
      segments: [...first.map(() => 0), ...second.map(() => 1)],
    };
  });
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

/** `[CLS] first [SEP] second [SEP]` is made of two single texts, so a single text must be `[CLS] text [SEP]`. */
function checkPairs(tokenizer: Tokenizer, folder: string): void {
  const around = tokenizer.encodeIds('');
  if (around.length !== 2)
    throw textModelError(
      'judge',
      `${folder}: the tokenizer puts ${around.length} tokens around a text; a judge of pairs wants one before and one after it, as BERT has`,
    );
}

function notFinite(): CrosspatchError {
  return new CrosspatchError('judge: a score is not a number; the weights hold NaN or infinity', {
    id: 'not-a-number',
  });
}
