/** @file Normal forms; expectations were read off the Rust library (tokenizers 0.22.2). */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toUnicodeForm } from './unicode-form.ts';

it('composes, decomposes and orders characters both sides know', () => {
  expect(toUnicodeForm('e\u0301\u0323', 'NFC')).toBe('\u1eb9\u0301');
  expect(toUnicodeForm('\uac01', 'NFD')).toBe('\u1100\u1161\u11a8');
  expect(toUnicodeForm('ﬁ①', 'NFKC')).toBe('fi1');
});

it('leaves characters newer than the library as and where they are', () => {
  const lao = '\u0ebe\u0eba\u0ec8\u0eb4';
  expect(toUnicodeForm(`e\u0301${lao}e\u0301`, 'NFC')).toBe(`\u00e9${lao}\u00e9`);
  expect(toUnicodeForm('a\u0345\u0eba', 'NFC')).toBe('a\u0345\u0eba');
  expect('a\u0345\u0eba'.normalize('NFC')).not.toBe('a\u0345\u0eba');
  expect(toUnicodeForm('\u{1ccd6}', 'NFKC')).toBe('\u{1ccd6}');
});

it('is idempotent on any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const once = toUnicodeForm(text, 'NFC');
      expect(toUnicodeForm(once, 'NFC')).toBe(once);
    }),
    { seed: 8, numRuns: 500 },
  );
});
