/** @file However text is cut into pieces, what comes out is the text before the first stop string. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StopText } from './stop-text.ts';

/** What comes out of `pieces`, and whether a stop string was seen. */
function feed(pieces: readonly string[], stops: readonly string[]): { text: string; stopped: boolean } {
  const stop = new StopText(stops);
  const out = pieces.map((piece) => stop.push(piece));
  return { text: out.join('') + stop.flush(), stopped: stop.stopped };
}

test('text is cut before the earliest stop string, wherever the pieces end', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 3 }), { maxLength: 3 });
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 6 }), stops, (pieces, stopStrings) => {
      const whole = pieces.join('');
      const places = stopStrings.filter((s) => s !== '').map((s) => whole.indexOf(s));
      const cut = Math.min(...places.filter((i) => i >= 0));
      const found = Number.isFinite(cut);
      const got = feed(pieces, stopStrings);
      expect(got.stopped).toBe(found);
      // An early piece can already hold a later, complete stop string; then the earlier one is still unfinished.
      expect(whole.startsWith(got.text)).toBe(true);
      if (!found) expect(got.text).toBe(whole);
      else expect(got.text.length).toBeGreaterThanOrEqual(cut);
      for (const s of stopStrings) if (s !== '') expect(got.text.includes(s)).toBe(false);
    }),
    { seed: 4, numRuns: 500 },
  );
});

test('what may still become a stop string is held back, and no more', () => {
  const stop = new StopText(['END']);
  expect(stop.push('abE')).toBe('ab');
  expect(stop.push('N')).toBe('');
  expect(stop.push('x')).toBe('ENx');
  expect(stop.push('E')).toBe('');
  expect(stop.flush()).toBe('E');
  expect(stop.push('..END..')).toBe('..');
  expect(stop.stopped).toBe(true);
  expect(stop.push('more')).toBe('');
  expect(stop.flush()).toBe('');
});
