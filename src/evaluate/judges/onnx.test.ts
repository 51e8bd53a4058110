/** @file Judges in ONNX on small models with known weights, against the closed form in float64. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OnnxJudgeParams } from '../../contracts/index.ts';
import {
  SMALL_TEXT,
  type SmallClassifier,
  writeEmbedding,
  writePair,
} from '../text-model/small-model.helper.ts';
import type { JudgePair } from './judge.ts';
import { locateOnnxJudge, openOnnxJudges } from './onnx.ts';

const WORDS: readonly string[] = SMALL_TEXT.words;
const MODEL: SmallClassifier = {
  ...SMALL_TEXT,
  weights: [[1.5], [-0.5], [0.3]],
};
const PAIRS: readonly JudgePair[] = [
  { candidate: 'good tea', reference: 'good tea' },
  { candidate: 'good', reference: 'bad' },
  { candidate: 'bad bad tea unseen', reference: 'tea' },
  { candidate: '', reference: 'good tea good' },
];

const rowsOf = (tokens: readonly string[]): readonly (readonly number[])[] =>
  tokens.map((word) => MODEL.embedding[Math.max(0, WORDS.indexOf(word))] ?? []);
const words = (text: string): string[] => text.split(' ').filter(Boolean);
const mean = (rows: readonly (readonly number[])[]): number[] =>
  [0, 1, 2].map((d) => rows.reduce((sum, row) => sum + (row[d] ?? 0), 0) / rows.length);
const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

function cosine({ candidate, reference }: JudgePair, most = Number.POSITIVE_INFINITY): number {
  const of = (text: string): number[] => mean(rowsOf(['[CLS]', ...words(text).slice(0, most - 2), '[SEP]']));
  const [a, b] = [of(candidate), of(reference)];
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function regression({ candidate, reference }: JudgePair): number {
  const first = rowsOf(['[CLS]', ...words(reference), '[SEP]']);
  const second = rowsOf([...words(candidate), '[SEP]']).map((row) => row.map((x) => 2 * x));
  return dot(mean([...first, ...second]), MODEL.weights.flat());
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-judge-'));
  await writeEmbedding(join(folder, 'embedding'), MODEL);
  await writePair(join(folder, 'pair'), MODEL);
  await writePair(join(folder, 'bare'), { ...MODEL, around: undefined });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function scores(kind: OnnxJudgeParams['kind'], at: string = kind, most = 256): Promise<number[]> {
  const settings = { kind, name: kind, file: 'model.onnx', max_tokens: most };
  await using local = await openOnnxJudges([{ folder: join(folder, at), settings }], { threads: 1 });
  return (await local.judges[0]?.score(PAIRS)) ?? [];
}
const close = (found: readonly number[], wanted: readonly number[]): void => {
  expect(found).toHaveLength(wanted.length);
  // float32 sums of at most nine terms near 1
  for (const [i, value] of wanted.entries()) expect(found[i]).toBeCloseTo(value, 6);
};

describe('judges in ONNX', () => {
  it('embedding: the cosine of mean embeddings, a text against itself 1', async () => {
    const found = await scores('embedding');
    close(
      found,
      PAIRS.map((pair) => cosine(pair)),
    );
    expect(found[0]).toBeCloseTo(1, 12);
  });

  it('embedding: of a long text the beginning, special tokens kept', async () => {
    close(
      await scores('embedding', 'embedding', 4),
      PAIRS.map((pair) => cosine(pair, 4)),
    );
  });

  it('pair: reference first, candidate as the second segment', async () => {
    close(await scores('pair'), PAIRS.map(regression));
  });

  it('pair: of long texts the beginnings, the longer one cut first', async () => {
    const cut = PAIRS.map(({ candidate, reference }) => {
      const [c, r] = [words(candidate), words(reference)];
      // Of six tokens three are the template's.
      const room = Math.min(r.length, Math.max(1, 3 - c.length));
      return { reference: r.slice(0, room).join(' '), candidate: c.slice(0, 3 - room).join(' ') };
    });
    expect(cut.map(({ candidate }) => candidate)).not.toEqual(PAIRS.map(({ candidate }) => candidate));
    close(await scores('pair', 'pair', 6), cut.map(regression));
  });

  it('read no more than the model has positions for', async () => {
    await writeFile(join(folder, 'embedding/config.json'), JSON.stringify({ max_position_embeddings: 4 }));
    const found = await scores('embedding');
    await rm(join(folder, 'embedding/config.json'));
    close(
      found,
      PAIRS.map((pair) => cosine(pair, 4)),
    );
  });

  it('refuse a tokenizer that joins no texts, an output of another shape, a folder without a model or tokenizer', async () => {
    const located = (name: string): Promise<unknown> =>
      locateOnnxJudge(join(folder, name), { kind: 'pair', max_tokens: 256 });
    await expect(located('pair')).resolves.toEqual({ folder: join(folder, 'pair'), file: 'model.onnx' });
    await expect(located('bare')).rejects.toThrow(/tokenizer.json: wanted a post_processor that joins two/);
    await expect(scores('pair', 'bare')).rejects.toThrow(/wanted a post_processor/);
    await expect(scores('embedding', 'pair')).rejects.toThrow(/is of the kind pair/);
    await rm(join(folder, 'bare/tokenizer.json'));
    await expect(located('bare')).rejects.toThrow(
      /tokenizer.json: wanted the model's tokenizer, found nothing/,
    );
    await expect(scores('pair', 'embedding')).rejects.toThrow(
      /wanted one number for a pair of texts, got \[/,
    );
    await expect(scores('embedding', 'nothing')).rejects.toThrow(
      /judge: .*wanted an ONNX model that can be read/,
    );
  });
});
