/** @file A sequence classifier in a local ONNX file as a detector: does the completion score high enough for one label? */
import { CrosspatchError, type Owned } from '../../base/index.ts';
import { isDegenerate } from '../../behaviours/index.ts';
import { textModelError } from '../text-model/place.ts';
import { type RowOutput, TextModel } from '../text-model/text-model.ts';
import { type ClassifierFiles, type ClassifierParams, readClassifierFiles } from './classifier-files.ts';
import type { Detector } from './detector.ts';

/** Name of the score: what the recipe compares with its threshold. */
const CLASSIFIER_SCORE = 'classifier.score';

/** Scores kept: most completions of an experiment are said many times. */
const KEPT = 10_000;

/**
 * Open a classifier: a model of `input_ids` [B,T] (and `attention_mask`, `token_type_ids`) whose output `logits` (else its first) is
 * [B,C]. Texts of equal length are read together, so nothing is padded. Throws InputError for a model of another kind.
 */
export async function openClassifier(
  folder: string,
  settings: ClassifierParams,
  { threads, signal }: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Detector & Owned> {
  const place = { folder, file: settings.file };
  const files = await readClassifierFiles(place, settings);
  const model = await TextModel.open(place, 'classifier', { threads });
  const output = model.output('logits');
  const known = new Map<string, number>();
  const score = async (texts: readonly string[]): Promise<void> => {
    if (known.size + texts.length > KEPT) known.clear();
    const rows = texts
      .map((text) => ({ text, ...files.reader.row(text) }))
      .filter(({ ids }) => ids.length > 0);
    const take = (i: number, { data, shape }: RowOutput): void => {
      if (shape.length > 1)
        throw textModelError(
          'classifier',
          `${model.path}: the output ${output} is [texts, ${shape.join(', ')}], wanted [texts, labels]`,
        );
      known.set((rows[i] as (typeof rows)[number]).text, scoreOf(Array.from(data), files, settings));
    };
    await model.run(rows, output, take, signal);
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

/**
 * The score of the label. `auto` is what transformers' text-classification pipeline does: sigmoid for `multi_label_classification` and
 * for a single output, nothing for `regression`, softmax otherwise.
 */
function scoreOf(logits: readonly number[], files: ClassifierFiles, settings: ClassifierParams): number {
  const { label, problem } = files;
  const index = label ?? (logits.length === 1 ? 0 : undefined);
  const own = index === undefined ? undefined : logits[index];
  if (own === undefined)
    throw textModelError(
      'classifier',
      index === undefined
        ? `the model has ${logits.length} outputs; give the index of one under \`label\``
        : `the model has ${logits.length} outputs, and none of index ${index}`,
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
