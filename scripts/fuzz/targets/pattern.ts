/** @file Patterns of tokenizers: what compiles must also end, on text that provokes backtracking. */
import type { Rng } from '../../../src/base/index.ts';
import { compilePattern } from '../../../src/models/tokenizer/pattern.ts';
import { mostly, mutateText } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const PATTERNS = [
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "'s|'t| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  '[0-9]{1,3}(?=(?:[0-9]{3})*\\b)',
  '\\d+|\\w+|\\S',
];
const WORDS = [
  '+',
  '*',
  '?',
  '{1,3}',
  '{2,}',
  '(',
  ')',
  '(?:',
  '(?=',
  '(?!',
  '(?<=',
  '(?>',
  '|',
  '[',
  ']',
  '^',
  '$',
  '.',
  '\\s',
  '\\w',
  '\\d',
  '\\p{L}',
  '\\p{Han}',
  '\\b',
  '\\1',
  '(a+)+',
  '(a|a)*',
  '(\\w*)*',
  '[^a]',
  'a',
  '++',
  '*?',
  '\\h',
  '\\R',
  '(?i)',
  '(?x',
  '\\u{110000}',
];
const TEXT = `${'a'.repeat(60)}! ${'1234567890'.repeat(6)} ${' '.repeat(40)}x é日本 don't\n\n`;

export const start: StartTarget = async () =>
  target<string>({
    sources: /\/src\/models\/tokenizer\/(pattern|pattern-.*|linear.*)\.ts/,
    make: (rng: Rng) => {
      const pattern = rng.pick(PATTERNS);
      return mostly(rng, 10, pattern, () => mutateText(rng, pattern, WORDS));
    },
    size: (pattern) => pattern.length + TEXT.length,
    attempt(pattern) {
      const compiled = compilePattern(pattern, 'fuzz');
      compiled.lastIndex = 0;
      for (const _ of TEXT.matchAll(compiled));
    },
  });
