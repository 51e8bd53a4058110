import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chrf,
  chrfPlusPlus,
  exactMatch,
  type LexicalMetric,
  lexicalJudge,
  lexicalMetrics,
  rougeL,
  tokenF1,
} from './index.ts';

const { texts } = JSON.parse(
  readFileSync(new URL('../../../test/parity/stats-own/goldens.json', import.meta.url), 'utf8'),
) as { texts: { candidate: string; reference: string; chrf: number; chrfpp: number; rougeL: number }[] };
const isAscii = (text: string): boolean => /^[\t\n\r -~]*$/.test(text);

describe('goldens of sacrebleu and rouge-score', () => {
  it.each(texts)('chrF and chrF++ of "$candidate" against "$reference"', (t) => {
    expect(chrf(t.candidate, t.reference)).toBeCloseTo(t.chrf, 14);
    expect(chrfPlusPlus(t.candidate, t.reference)).toBeCloseTo(t.chrfpp, 14);
  });

  it('ROUGE-L on ASCII text', () => {
    const plain = texts.filter((t) => isAscii(t.candidate) && isAscii(t.reference));
    expect(plain.length).toBeGreaterThan(9);
    for (const t of plain) expect(rougeL(t.candidate, t.reference)).toBeCloseTo(t.rougeL, 14);
  });
});

describe('closed forms', () => {
  it('chrF by hand: "ab" against "abc" has P = 1 and R = (2/3 + 1/2)/2', () => {
    const recall = (2 / 3 + 1 / 2) / 2;
    expect(chrf('ab', 'abc')).toBeCloseTo((5 * recall) / (4 + recall), 15);
    expect(chrf('a b', ' ab c')).toBe(chrf('ab', 'abc'));
  });

  it('an emoji is one character', () => {
    expect(chrf('😀', '😁')).toBe(0);
    expect(chrf('😀', '😀')).toBe(1);
  });

  it('ROUGE-L and token F1 by hand: order counts for the first only', () => {
    expect(rougeL('a b c d', 'b a d')).toBeCloseTo((2 * 2) / 7, 15);
    expect(tokenF1('a b c d', 'b a d')).toBeCloseTo((2 * 3) / 7, 15);
    expect(tokenF1('the the cat', 'the dog')).toBeCloseTo(2 / 5, 15);
    expect(tokenF1('Größe, 12!', 'größe 12')).toBe(1);
    expect(rougeL('кот сидит', 'кот лежит')).toBe(0.5);
  });

  it('empty sides', () => {
    expect([chrf('', 'x'), rougeL('', ''), tokenF1('', 'x'), tokenF1('', '')]).toEqual([0, 0, 0, 1]);
    expect(exactMatch(' x\n', 'x')).toBe(true);
    expect(exactMatch('x', 'X')).toBe(false);
  });
});

describe('every metric', () => {
  it('lies in [0, 1], is 1 for a text against itself, and 0 for texts that share nothing', () => {
    const metrics = Object.entries(lexicalMetrics);
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((s) => `a${s}`);
    fc.assert(
      fc.property(text, text, (a, b) => {
        for (const [name, metric] of metrics) {
          const score = metric(a, b);
          expect(score, `${name}`).toBeGreaterThanOrEqual(0);
          expect(score, `${name}`).toBeLessThanOrEqual(1);
          expect(metric(a, a), `${name}`).toBeCloseTo(1, 12);
        }
      }),
      { numRuns: 200, seed: 4 },
    );
    for (const [name, metric] of metrics) expect(metric('abc', 'xyz'), `${name}`).toBe(0);
  });

  it('the judge names its metric and keeps the order of the pairs', async () => {
    const pairs = [
      { candidate: 'same', reference: 'same' },
      { candidate: 'abc', reference: 'xyz' },
    ];
    expect(lexicalJudge()).toMatchObject({ name: 'lexical', metric: 'chrf' });
    for (const metric of Object.keys(lexicalMetrics) as LexicalMetric[]) {
      const judge = lexicalJudge(metric);
      expect(judge.metric).toBe(metric);
      expect(await judge.score(pairs)).toEqual([1, 0]);
    }
  });
});
