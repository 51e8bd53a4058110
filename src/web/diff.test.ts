import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DiffRun, diff } from './diff.ts';

const joined = (runs: readonly DiffRun[]) => runs.map((run) => run.text).join('');
const kept = (runs: readonly DiffRun[]) =>
  runs
    .filter((run) => run.same)
    .map((run) => run.text)
    .join('')
    .split(/\s+/)
    .filter((word) => word !== '');

describe('diff', () => {
  it('marks the words only one side has', () => {
    expect(diff('the cat sat', 'the dog sat')).toEqual({
      a: [
        { text: 'the ', same: true },
        { text: 'cat ', same: false },
        { text: 'sat', same: true },
      ],
      b: [
        { text: 'the ', same: true },
        { text: 'dog ', same: false },
        { text: 'sat', same: true },
      ],
    });
  });

  it('goes by characters when asked', () => {
    expect(diff('abc', 'adc', 'character').a.map((run) => [run.text, run.same])).toEqual([
      ['a', true],
      ['b', false],
      ['c', true],
    ]);
  });

  it('keeps every character of both texts, and the same words in the same order on both sides', () => {
    const text = fc
      .array(fc.constantFrom('a ', 'b', ' ', 'c\n', 'dd ', '🙂'), { maxLength: 30 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, text, (a, b) => {
        const runs = diff(a, b);
        expect(joined(runs.a)).toBe(a);
        expect(joined(runs.b)).toBe(b);
        expect(kept(runs.a)).toEqual(kept(runs.b));
      }),
    );
  });

  it('keeps only common ends of texts too long to compare in full', () => {
    const middle = (word: string) => Array.from({ length: 3000 }, (_, i) => `${word}${i}`).join(' ');
    const runs = diff(`start ${middle('x')} end`, `start ${middle('y')} end`);
    expect(runs.a.map((run) => run.same)).toEqual([true, false, true]);
    expect(joined(runs.b)).toContain('y2999');
  });
});
