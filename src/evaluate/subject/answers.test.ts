import { expect, it } from 'vitest';
import { accuracy, accuracyChange } from './answers.ts';

it('counts exact matches, white space aside', () => {
  const { accuracy: share, right } = accuracy(
    ['Paris', ' Paris\n', 'paris', 'Paris is', '1  2'],
    ['Paris', 'Paris', 'Paris', 'Paris', '1 2'],
  );
  expect(right).toEqual([true, true, false, false, true]);
  expect(share).toMatchObject({ value: 3 / 5, n: 5 });
  expect(() => accuracy(['a'], [])).toThrow(/1 completions for 0 answers/);
});

it('pairs the models by prompt', () => {
  const answers = Array.from({ length: 10 }, (_, i) => String(i));
  const clean = accuracy(answers, answers);
  const tuned = accuracy(
    answers.map((a, i) => (i < 4 ? 'wrong' : a)),
    answers,
  );
  const change = accuracyChange(tuned, clean);
  expect(change).toMatchObject({ clean: { value: 1 }, difference: { value: -0.4, n: 10 } });
  // Four of four discordant pairs on one side: 2 · (1/2)⁴.
  expect(change.p).toBeCloseTo(0.125, 12);
  expect(change.difference.ci95[1]).toBeLessThan(0);
  expect(accuracyChange(clean, tuned).difference.value).toBe(0.4);
});
