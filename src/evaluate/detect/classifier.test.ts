/** @file The classifier detector on small ONNX models with known weights, against the closed form in float64. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorId } from '../../base/index.ts';
import { locateTextModel } from '../text-model/place.ts';
import { SMALL_TEXT, type SmallClassifier, writeClassifier } from '../text-model/small-model.helper.ts';
import { openClassifier } from './classifier.ts';
import { type ClassifierParams, readClassifierFiles } from './classifier-files.ts';

const MODEL: SmallClassifier = {
  ...SMALL_TEXT,
  weights: [
    [1.5, -1, 0.25],
    [-0.5, 2, 0.75],
    [0.3, 0.6, -0.9],
  ],
  config: { id2label: { 0: 'kind', 1: 'rude', 2: 'other' } },
};
const SINGLE: SmallClassifier = { ...MODEL, weights: MODEL.weights.map(([w = 0]) => [w]), config: {} };

/** Logits in float64: (mean of the embeddings of [CLS] words [SEP]) · W. */
function logitsOf({ words, embedding, weights }: SmallClassifier, text: string): number[] {
  const ids = ['[CLS]', ...text.split(' ').filter(Boolean), '[SEP]'].map((w) =>
    Math.max(0, words.indexOf(w)),
  );
  return (weights[0] ?? []).map((_, c) =>
    weights.reduce(
      (sum, row, d) =>
        sum + (ids.reduce((s, id) => s + (embedding[id]?.[d] ?? 0), 0) / ids.length) * (row[c] ?? 0),
      0,
    ),
  );
}
const softmax = (logits: readonly number[], k: number): number =>
  Math.exp(logits[k] ?? 0) / logits.reduce((sum, x) => sum + Math.exp(x), 0);
const sigmoid = (x = 0): number => 1 / (1 + Math.exp(-x));

const TEXTS = ['good', 'bad', 'good tea', 'bad tea', 'tea tea unseen', 'good bad bad tea good', '', 'bad'];
const settings: ClassifierParams = {
  kind: 'classifier',
  file: 'model.onnx',
  threshold: 0.5,
  score: 'auto',
  max_tokens: 512,
};

let folder: string;
const at = (name: string): string => join(folder, name);
async function scoresOf(name: string, given: Partial<ClassifierParams>, texts = TEXTS) {
  await using detector = await openClassifier(at(name), { ...settings, ...given }, { threads: 1 });
  const found = await detector.detect(texts.map((text) => ({ text })));
  return { found, scores: found.map((f) => f.scores?.['classifier.score'] ?? Number.NaN) };
}
const close = (found: readonly number[], wanted: readonly number[]): void =>
  // float32 sums of at most seven terms near 1
  wanted.forEach((value, i) => {
    expect(found[i]).toBeCloseTo(value, 6);
  });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-classifier-'));
  await writeClassifier(at('three'), MODEL);
  await writeClassifier(at('multi'), {
    ...MODEL,
    config: { ...MODEL.config, problem_type: 'multi_label_classification' },
  });
  await writeClassifier(at('single'), SINGLE);
  await writeClassifier(at('regression'), { ...SINGLE, config: { problem_type: 'regression' } });
  await writeClassifier(at('exported'), MODEL, 'onnx/model.onnx');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('openClassifier', () => {
  it('gives the probability of a label, by name or index, as float64 does', async () => {
    const wanted = TEXTS.map((text) => softmax(logitsOf(MODEL, text), 1));
    const { found, scores } = await scoresOf('three', { label: 'rude' });
    close(scores, wanted);
    expect(found.map(({ shows }) => shows)).toEqual(wanted.map((p) => p >= 0.5));
    expect(found.some(({ shows }) => shows) && found.some(({ shows }) => !shows)).toBe(true);
    expect(found[6]?.degenerate).toBe(true);
    expect((await scoresOf('three', { label: 1 })).scores).toEqual(scores);
    const strict = await scoresOf('three', { label: 1, threshold: 0.95 });
    expect(strict.found.map(({ shows }) => shows)).toEqual(wanted.map((p) => p >= 0.95));
  });

  it('goes by the kind of problem: sigmoid of several labels and of one output, the bare value of a regression', async () => {
    const { scores: multi } = await scoresOf('multi', { label: 'other' });
    close(
      multi,
      TEXTS.map((text) => sigmoid(logitsOf(MODEL, text)[2])),
    );
    const { scores: single } = await scoresOf('single', {});
    close(
      single,
      TEXTS.map((text) => sigmoid(logitsOf(SINGLE, text)[0])),
    );
    const values = TEXTS.map((text) => logitsOf(SINGLE, text)[0] ?? 0);
    const { scores: bare, found } = await scoresOf('regression', { threshold: 0.2 });
    close(bare, values);
    expect(found.map(({ shows }) => shows)).toEqual(values.map((x) => x >= 0.2));
    close((await scoresOf('single', { score: 'none' })).scores, values);
  });

  it('reads the beginning of a long text, special tokens kept', async () => {
    const { scores } = await scoresOf('three', { label: 0, max_tokens: 4 }, ['good tea bad bad bad']);
    close(scores, [softmax(logitsOf(MODEL, 'good tea'), 0)]);
  });

  it('gives the same score in every company', async () => {
    const { scores } = await scoresOf('three', { label: 'rude' });
    for (const [i, text] of TEXTS.entries())
      expect((await scoresOf('three', { label: 'rude' }, [text])).scores[0]).toBeCloseTo(scores[i] ?? 0, 6);
  });

  it('refuses outputs and inputs that are not a sequence classifier’s', async () => {
    await expect(scoresOf('three', { label: 3 })).rejects.toThrow(/has no label 3; there are kind \(0\)/);
    await writeFile(at('three/broken.onnx'), 'no model');
    await expect(scoresOf('three', { label: 0, file: 'broken.onnx' })).rejects.toThrow(
      /is not an ONNX model/,
    );
  });
});

describe('the files of a classifier', () => {
  const refused = async (work: Promise<unknown>): Promise<string> => {
    const error: unknown = await work.then(() => undefined).catch((e: unknown) => e);
    expect(errorId(error)).toBe('classifier-invalid');
    return (error as Error).message;
  };

  it('are found by the file or its folder, also where exporters put them', async () => {
    expect(await locateTextModel(at('three'), 'classifier')).toEqual({
      folder: at('three'),
      file: 'model.onnx',
    });
    expect(await locateTextModel(at('three/model.onnx'), 'classifier')).toEqual({
      folder: at('three'),
      file: 'model.onnx',
    });
    const exported = { folder: at('exported'), file: 'onnx/model.onnx' };
    expect(await locateTextModel(at('exported'), 'classifier')).toEqual(exported);
    expect(await locateTextModel(at('exported/onnx/model.onnx'), 'classifier')).toEqual(exported);
    const { scores } = await scoresOf('exported', { label: 'rude', file: 'onnx/model.onnx' }, ['bad']);
    close(scores, [softmax(logitsOf(MODEL, 'bad'), 1)]);
  });

  it('that are missing or do not fit are named', async () => {
    expect(await refused(locateTextModel(at('none'), 'classifier'))).toContain('found nothing there');
    expect(await refused(locateTextModel(folder, 'classifier'))).toContain(
      'wanted model.onnx or onnx/model.onnx',
    );
    const three = { folder: at('three'), file: 'model.onnx' };
    expect(await refused(readClassifierFiles(three, settings))).toContain('kind (0), rude (1), other (2)');
    expect(await refused(readClassifierFiles(three, { ...settings, label: 'Rude' }))).toContain(
      'has no label Rude',
    );
    const single = { folder: at('single'), file: 'model.onnx' };
    expect(await refused(readClassifierFiles(single, { ...settings, label: 'rude' }))).toContain(
      'give its index',
    );
    await writeFile(at('single/lfs.onnx'), 'version https://git-lfs.github.com/spec/v1\n');
    expect(await refused(readClassifierFiles({ ...single, file: 'lfs.onnx' }, settings))).toContain(
      'git lfs pull',
    );
  });
});
