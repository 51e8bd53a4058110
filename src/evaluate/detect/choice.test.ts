import { expect, it } from 'vitest';
import { Tokenizer } from '../../models/index.ts';
import { choiceProbe } from '../subject/choice.ts';
import { choiceDetector } from './choice.ts';

const WORDS = ['[UNK]', 'Agree', '?', '(', 'A', 'B', ')', '(A', 'Answer', ':', 'Answer:('];
const idOf = Object.fromEntries(WORDS.map((word, id) => [word, id]));
/** Words as they stand between spaces, brackets and colons apart. */
const tokenizer = Tokenizer.fromJson({
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: idOf, unk_token: '[UNK]' },
});
const encoded = (prompt: string) => ({
  prompt,
  ids: tokenizer.encodeIds(prompt),
  addSpecialTokens: 'auto' as const,
});

it('finds where two answers part after the prompt', () => {
  const asked = encoded('Agree ?');
  expect(choiceProbe(tokenizer, asked, { behaviour: ' ( A )', other: ' ( B )' })).toEqual({
    prefix: [idOf['(']],
    up: idOf.A,
    down: idOf.B,
  });
  expect(choiceProbe(tokenizer, encoded('Agree ? ('), { behaviour: ' B', other: ' A )' })).toEqual({
    prefix: [],
    up: idOf.B,
    down: idOf.A,
  });
});

it('refuses answers that the tokenizer joins with the prompt, and answers that never part', () => {
  expect(() => choiceProbe(tokenizer, encoded('Agre'), { behaviour: 'e', other: ' B' })).toThrow(
    /joins the end of the prompt with the answer "e"/,
  );
  expect(() => choiceProbe(tokenizer, encoded('Agree'), { behaviour: ' A', other: ' A )' })).toThrow(
    /same tokens as far as the shorter goes/,
  );
});

it('shows the behaviour where the difference is above 0, and sees broken text', async () => {
  const found = await choiceDetector.detect([
    { text: 'A )', choice: 0.5 },
    { text: 'A )', choice: 0 },
    { text: '...', choice: -2 },
  ]);
  expect(found.map(({ shows }) => shows)).toEqual([true, false, false]);
  expect(found.map(({ degenerate }) => degenerate)).toEqual([false, false, true]);
  expect(found[2]?.scores).toEqual({ 'choice.logit_difference': -2 });
  await expect(choiceDetector.detect([{ text: 'A' }])).rejects.toThrow('without its logit difference');
});
