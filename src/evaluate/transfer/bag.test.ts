import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { Spans } from '../arms/spans.ts';
import type { ContrastCase, TaggedPrompt } from '../subject/cases.ts';
import { BagRidge, bagSpans, type LabelledSpan } from './bag.ts';

const WIDTH = 3;
const VOCABULARY = 9;
const rng = new Rng(5);
const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());

/** Six tags of two or three tokens, each in several prompts; activations are noise. */
const TAGS = [
  [1, 2],
  [1, 3],
  [4, 5, 5],
  [6, 2],
  [7, 8],
  [3, 7],
];
const spans: LabelledSpan[] = TAGS.flatMap((tokens, t) =>
  Array.from({ length: 2 + (t % 2) }, () => ({
    prompt: { ids: [0, ...tokens, 0], positions: tokens.map((_, k) => k + 1), tag: `tag ${t}` },
    rows: random(tokens.length * WIDTH),
  })),
);

/** Rows of a span laid on two positions from the end. */
const onTwo = ({ rows }: LabelledSpan): number[] => [...rows.slice(-2 * WIDTH)];
const bagOf = ({ ids, positions }: LabelledSpan['prompt']): number[] => {
  const bag = new Array<number>(VOCABULARY).fill(0);
  for (const p of positions) bag[ids[p] as number] = (bag[ids[p] as number] as number) + 1;
  return bag;
};

/** Ridge in its primal form: features centred, W solved by Gauss elimination over the vocabulary. */
function primal(rows: readonly LabelledSpan[], centre: number[], middle: number[], lambda: number) {
  const x = rows.map((s) => bagOf(s.prompt).map((v, j) => v - (centre[j] as number)));
  const y = rows.map((s) => onTwo(s).map((v, j) => v - (middle[j] as number)));
  const a = centre.map((_, i) =>
    centre.map((_, j) => x.reduce((s, r) => s + r[i]! * r[j]!, 0) + (i === j ? lambda : 0)),
  );
  const b = centre.map((_, i) => middle.map((_, j) => x.reduce((s, r, k) => s + r[i]! * y[k]![j]!, 0)));
  const w = solve(a, b);
  return (prompt: LabelledSpan['prompt']): number[] => {
    const features = bagOf(prompt).map((v, j) => v - (centre[j] as number));
    return middle.map((m, j) => m + features.reduce((s, f, i) => s + f * w[i]![j]!, 0));
  };
}

function solve(a: number[][], b: number[][]): number[][] {
  const rows = a.map((row, i) => [...row, ...b[i]!]);
  for (let p = 0; p < rows.length; p++) {
    const pivot = rows[p]!.map((v) => v / rows[p]![p]!);
    rows.forEach((row, i) => {
      const factor = i === p ? 0 : row[p]!;
      rows[i] = i === p ? pivot : row.map((v, j) => v - factor * pivot[j]!);
    });
  }
  return rows.map((row) => row.slice(a.length));
}

const mean = (rows: readonly number[][]): number[] =>
  rows[0]!.map((_, j) => rows.reduce((s, r) => s + r[j]!, 0) / rows.length);

describe('ridge from the bag of span tokens', () => {
  const centre = mean(spans.map((s) => bagOf(s.prompt)));
  const middle = mean(spans.map(onTwo));
  const trace = spans.reduce(
    (sum, s) => sum + bagOf(s.prompt).reduce((t, v, j) => t + (v - centre[j]!) ** 2, 0),
    0,
  );
  const scale = trace / spans.length;
  const ridge = new BagRidge(spans, WIDTH);
  const unseen = { ids: [3, 8], positions: [0, 1], tag: 'new' };

  it('predicts what the primal form does', () => {
    const expected = primal(spans, centre, middle, ridge.lambda(2) * scale)(unseen);
    for (const [j, v] of ridge.predict(unseen).entries()) expect(v).toBeCloseTo(expected[j]!, 5);
  });

  it('takes the λ with the least error on tags left out, by fitting again without each', () => {
    const errorOf = (lambda: number): number =>
      TAGS.reduce((sum, _, t) => {
        const [held, rest] = [`tag ${t}`].map((tag) => [
          spans.filter((s) => s.prompt.tag === tag),
          spans.filter((s) => s.prompt.tag !== tag),
        ])[0]!;
        const predict = primal(rest!, centre, middle, lambda * scale);
        return (
          sum +
          held!.reduce((s, span) => {
            const predicted = predict(span.prompt);
            return s + onTwo(span).reduce((e, v, j) => e + (v - predicted[j]!) ** 2, 0);
          }, 0)
        );
      }, 0);
    const tried = [1e-3, 1e-2, 0.1, 1, 10];
    const errors = tried.map(errorOf);
    expect(ridge.lambda(2)).toBe(tried[errors.indexOf(Math.min(...errors))]);
  });

  it('tokens it never saw count as none', () => {
    const foreign = ridge.predict({ ids: [100, 101], positions: [0, 1], tag: 'foreign' });
    const nothing = primal(
      spans,
      centre,
      middle,
      ridge.lambda(2) * scale,
    )({
      ids: [],
      positions: [],
      tag: '',
    });
    for (const [j, v] of foreign.entries()) expect(v).toBeCloseTo(nothing[j]!, 5);
  });

  it('is not run where every tested tag is a labelled one', () => {
    const caseOf = (id: string, tag: string): ContrastCase => {
      const prompt = { prompt: '', ids: [1, 2], offsets: [], span: { start: 0, end: 2 }, positions: [0, 1] };
      const tagged: TaggedPrompt = { ...prompt, tag };
      const none = { prompt: '', ids: [], offsets: [] };
      return { id, text: '', states: { none, bad: tagged, safe: { ...tagged, tag: 's' }, other: tagged } };
    };
    const taught = [caseOf('0', 'a'), caseOf('1', 'b')];
    const rows = taught.map(() => random(2 * WIDTH));
    const labelled = new Spans(WIDTH, taught, { bad: rows, safe: rows, other: rows });
    expect(bagSpans(labelled, taught)).toBeUndefined();
    const tested = [caseOf('0', 'c')];
    expect(bagSpans(labelled, tested)?.of(tested[0]!, 'bad')).toHaveLength(2 * WIDTH);
  });
});
