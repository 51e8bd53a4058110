/** @file A sequence classifier in a local ONNX file as a detector: does the completion score high enough for one label? */
import { join } from 'node:path';
import { CrosspatchError, InputError, type Owned, throwIfAborted } from '../../base/index.ts';
import { isDegenerate } from '../../behaviours/index.ts';
import { OnnxFile, type Tensor } from '../../engine/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { type ClassifierFiles, type ClassifierParams, readClassifierFiles } from './classifier-files.ts';
import type { Detector } from './detector.ts';

/** Name of the score: what the recipe compares with its threshold. */
const CLASSIFIER_SCORE = 'classifier.score';

/** Texts of one length read side by side. */
const BATCH = 16;

/** Scores kept: most completions of an experiment are said many times. */
const KEPT = 10_000;

/** What each input that exporters write is fed with, for a row of ids. */
const FEEDS = {
  input_ids: (ids: readonly number[]) => ids,
  attention_mask: (ids: readonly number[]) => ids.map(() => 1),
  token_type_ids: (ids: readonly number[]) => ids.map(() => 0),
} as const;

/**
 * Open a classifier: a model of `input_ids` [B,T] (and `attention_mask`, `token_type_ids`) whose output `logits` (else its first) is
 * [B,C]. Texts of equal length are read together, so nothing is padded. Throws InputError for a model of another kind.
 */
export async function openClassifier(
  folder: string,
  settings: ClassifierParams,
  { threads, signal }: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Detector & Owned> {
  const files = await readClassifierFiles({ folder, file: settings.file }, settings);
  const model = await OnnxFile.open(join(folder, settings.file), { threads });
  try {
    checkInputs(model);
  } catch (error) {
    await model[Symbol.asyncDispose]();
    throw error;
  }
  const known = new Map<string, number>();
  const score = async (texts: readonly string[]): Promise<void> => {
    if (known.size + texts.length > KEPT) known.clear();
    const rows = texts
      .map((text) => ({ text, ids: truncated(files.tokenizer, text, settings.max_tokens) }))
      .filter(({ ids }) => ids.length > 0);
    for (const batch of batches(rows)) {
      throwIfAborted(signal, 'classifier');
      const logits = await logitsOf(
        model,
        batch.map(({ ids }) => ids),
      );
      for (const [b, { text }] of batch.entries())
        known.set(text, scoreOf(logits[b] as number[], files, settings));
    }
  };
  return {
    async detect(answers) {
      const scores = new Map(answers.map(({ text }) => [text, known.get(text)]));
      const open = [...scores].flatMap(([text, found]) => (found === undefined ? [text] : []));
      await score(open);
      for (const text of open) scores.set(text, known.get(text));
      return answers.map(({ text }) => {
        // A text without any token has no score, and shows nothing.
        const value = scores.get(text);
        return {
          shows: value !== undefined && value >= settings.threshold,
          neutral: false,
          degenerate: isDegenerate(text),
          scores: value === undefined ? undefined : { [CLASSIFIER_SCORE]: value },
        };
      });
    },
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

function checkInputs({ path, inputs }: OnnxFile): void {
  for (const { name, type } of inputs) {
    if (!Object.hasOwn(FEEDS, name))
      throw new InputError(
        `classifier: ${path}: wants the input ${name}; known are ${Object.keys(FEEDS).join(', ')}`,
        { id: 'classifier-invalid' },
      );
    if (type !== 'int64')
      throw new InputError(`classifier: ${path}: the input ${name} is ${type}, wanted int64`, {
        id: 'classifier-invalid',
      });
  }
  if (!inputs.some(({ name }) => name === 'input_ids'))
    throw new InputError(`classifier: ${path}: has no input input_ids; wanted a model that reads token ids`, {
      id: 'classifier-invalid',
    });
}

/** Logits of texts of one length, [B,C]. */
async function logitsOf(model: OnnxFile, rows: readonly (readonly number[])[]): Promise<number[][]> {
  const shape = [rows.length, rows[0]?.length ?? 0];
  const feeds = Object.fromEntries(
    model.inputs.map(({ name }): [string, Tensor] => {
      const values = rows.flatMap((ids) => FEEDS[name as keyof typeof FEEDS](ids));
      return [name, { dtype: 'i64', shape, data: BigInt64Array.from(values, BigInt) }];
    }),
  );
  const output = model.outputs.includes('logits') ? 'logits' : (model.outputs[0] as string);
  const { data, shape: found, dtype } = await model.run(feeds, output);
  const [b, c = 1] = found;
  if ((dtype !== 'f32' && dtype !== 'f64') || found.length > 2 || b !== rows.length)
    throw new InputError(
      `classifier: ${model.path}: the output ${output} is ${dtype} [${found.join(', ')}] for ${rows.length} texts, wanted float32 [texts, labels]`,
      { id: 'classifier-invalid' },
    );
  return rows.map((_, i) => Array.from((data as Float32Array).subarray(i * c, (i + 1) * c)));
}

/**
 * The score of the label. `auto` is what transformers' text-classification pipeline does: sigmoid for `multi_label_classification` and
 * for a single output, nothing for `regression`, softmax otherwise.
 */
function scoreOf(logits: readonly number[], files: ClassifierFiles, settings: ClassifierParams): number {
  const { label, problem } = files;
  const index = label ?? (logits.length === 1 ? 0 : undefined);
  const own = index === undefined ? undefined : logits[index];
  if (own === undefined)
    throw new InputError(
      index === undefined
        ? `classifier: the model has ${logits.length} outputs; give the index of one under \`label\``
        : `classifier: the model has ${logits.length} outputs, and none of index ${index}`,
      { id: 'classifier-invalid' },
    );
  const score = scores[settings.score === 'auto' ? usual(problem, logits.length) : settings.score](
    own,
    logits,
  );
  if (Number.isNaN(score))
    throw new CrosspatchError('classifier: a score is not a number; the weights hold NaN or infinity', {
      id: 'not-a-number',
    });
  return score;
}

function usual(problem: string | undefined, outputs: number): 'softmax' | 'sigmoid' | 'none' {
  if (problem === 'regression') return 'none';
  return problem === 'multi_label_classification' || outputs === 1 ? 'sigmoid' : 'softmax';
}

const scores = {
  none: (own: number) => own,
  sigmoid: (own: number) => 1 / (1 + Math.exp(-own)),
  softmax: (own: number, all: readonly number[]) => {
    const most = Math.max(...all);
    return Math.exp(own - most) / all.reduce((sum, x) => sum + Math.exp(x - most), 0);
  },
} as const;

/** Ids of as much of a text as `most` tokens hold, those of the template included. */
function truncated(tokenizer: Tokenizer, text: string, most: number): number[] {
  const ids = tokenizer.encodeIds(text);
  if (ids.length <= most) return ids;
  const plain = tokenizer.encode(text, { addSpecialTokens: false });
  const room = Math.max(1, most - (ids.length - plain.ids.length));
  const end = plain.offsets[room - 1]?.[1] ?? text.length;
  return tokenizer.encodeIds(text.slice(0, end));
}

/** Rows of one length, at most {@link BATCH} of them, in their order. */
function* batches<T extends { readonly ids: readonly number[] }>(rows: readonly T[]): Generator<T[]> {
  for (const group of groups(rows).values())
    for (let at = 0; at < group.length; at += BATCH) yield group.slice(at, at + BATCH);
}

function groups<T extends { readonly ids: readonly number[] }>(rows: readonly T[]): Map<number, T[]> {
  const out = new Map<number, T[]>();
  for (const row of rows) {
    const group = out.get(row.ids.length) ?? [];
    out.set(row.ids.length, group);
    group.push(row);
  }
  return out;
}
