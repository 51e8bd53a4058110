import { expect, test } from 'vitest';
import { patternRisk } from './index.ts';

test.each([
  // GPT-2, Llama 3, Qwen 2, GPT-4o, DeepSeek, one digit group from the right
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "(?:'s|'t|'re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?:'s|'t)?|\\p{N}{1,3}",
  '\\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+|[一-龥ࠀ-一가-퟿]+|\\s+$',
  '\\p{N}+|(?=(\\p{Nd}{3})+(?!\\p{Nd}))',
  '[0-9][0-9][0-9]',
  'a{2,4}[{}]{x}',
])('patterns in use pass: %#', (source) => {
  expect(patternRisk(source)).toBeUndefined();
});

test.each([
  ['(a+)+$|x', /a group that holds a repeat/],
  ['(?:a|a)*b', /or a choice/],
  ['(?:a?){30}a{30}', /a group that holds a repeat/],
  ['(?:(?:a{1,9}))*', /a group that holds a repeat/],
  ['a*a*a*a*b', /4 unbounded repeats in a row/],
  ['(?:a*)(?:a*)a*(?=b)', /3 unbounded repeats/],
  ['a{5000}', /more than 1000/],
  ['(?:a{500}){500}', /multiply to more than/],
  ['(a)\\1*', /reference back/],
  [`${'('.repeat(100)}a${')'.repeat(100)}`, /nested deeper/],
  ['a'.repeat(5000), /5000 characters/],
])('what can run away is told: %j', (source, message) => {
  expect(patternRisk(source)).toMatch(message);
});

test('a name matched against a pattern of several gaps may be allowed', () => {
  const source = '.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?';
  expect(patternRisk(source)).toMatch(/3 unbounded/);
  expect(patternRisk(source, { unbounded: 5 })).toBeUndefined();
});
