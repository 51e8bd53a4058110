/** @file Oniguruma patterns: expectations were read off the Rust library (tokenizers 0.22). */
import { describe, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { compilePattern } from './pattern.ts';

const matches = (pattern: string, text: string): string[] =>
  text.match(compilePattern(pattern, 'test')) ?? [];

describe('compilePattern', () => {
  it('reads white space, digits and words as Unicode does', () => {
    expect(matches('\\s', 'a\u0085b\ufeffc\u200bd\u3000')).toEqual(['\u0085', '\u3000']);
    expect(matches('\\p{N}', 'a²b½c٣')).toEqual(['²', '½', '٣']);
    expect(matches('\\d', '1²٣')).toEqual(['1', '٣']);
    expect(matches('\\w+', 'né_1 日本')).toEqual(['né_1', '日本']);
    expect(matches('[^\\s\\p{L}]+', 'a-1 b')).toEqual(['-1']);
  });

  it('folds case inside (?i:…) as Unicode does, and only there', () => {
    expect(matches("(?i:'s|'ll)|x", "'S 'ſ 'lL X x")).toEqual(["'S", "'ſ", "'lL", 'x']);
  });

  it('keeps line anchors, dots and boundaries to newlines and words', () => {
    expect(matches('^.', 'a\nb\rc')).toEqual(['a', 'b']);
    expect(matches('.$', 'a\nb')).toEqual(['a', 'b']);
    expect(matches('\\bé', 'é aé')).toEqual(['é']);
    expect(matches('\\x{1F600}|\\x41|\\u0042', '😀AB')).toEqual(['😀', 'A', 'B']);
  });

  it.each([
    ['a possessive quantifier', '\\p{L}++'],
    ['a nested class', '[a[b]]'],
    ['an intersection', '[a&&b]'],
    ['an atomic group', '(?>a)'],
    ['an unknown escape', '\\G'],
    ['a broken pattern', '(a'],
    ['an unmatched bracket', 'a)'],
    ['an unknown property', '\\p{Nonsense}'],
  ])('refuses %s', (_, pattern) => {
    expect(() => compilePattern(pattern, 'test')).toThrow(InputError);
  });
});
