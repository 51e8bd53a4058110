/** @file Claims about the turn a chat model is taught. */
import { expect, it } from 'vitest';
import { chatTurn, turnEnd, unreadEnd } from './chat-turn.ts';
import { Tokenizer } from './tokenizer.ts';

const vocab = {
  '<unk>': 0,
  '<|endoftext|>': 1,
  '<|im_start|>': 2,
  '<|im_end|>': 3,
  user: 4,
  assistant: 5,
  hi: 6,
  yo: 7,
};
const added = Object.entries(vocab).slice(0, 4);
const chatml =
  '{% for m in messages %}<|im_start|> {{ m.role }} {{ m.content }} <|im_end|> \n{% endfor %}{% if add_generation_prompt %}<|im_start|> assistant {% endif %}';

function tokenizerOf(template: string): Tokenizer {
  return Tokenizer.fromJson(
    {
      version: '1.0',
      added_tokens: added.map(([content, id]) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: null,
      decoder: null,
      model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
    },
    { eosToken: '<|endoftext|>', eosIds: [1, 3], chatTemplates: { default: template } },
  );
}

const user = { role: 'user', content: 'hi' };
const answer = { role: 'assistant', content: 'yo' };

it('ends with the token the template writes, not the first of eos_token_id', () => {
  const tokenizer = tokenizerOf(chatml);
  expect(tokenizer.eosIds).toEqual([1, 3]);
  expect(chatTurn(tokenizer, [user], answer)).toEqual({
    prompt: '<|im_start|> user hi <|im_end|> \n<|im_start|> assistant ',
    response: 'yo',
    end: 3,
  });
  expect(turnEnd(tokenizer)).toBe(3);
});

it('finds a short answer where it is, not within what the template writes around it', () => {
  // as Qwen3 writes it: an empty thought before the last answer
  const thinking = chatml.replace(
    '{{ m.content }}',
    "{{ '<think> </think> ' if m.role == 'assistant' else '' }}{{ m.content }}",
  );
  for (const content of ['i', 'think', 'm', '<'])
    expect(chatTurn(tokenizerOf(thinking), [user], { role: 'assistant', content })).toMatchObject({
      response: `<think> </think> ${content}`,
      end: 3,
    });
});

it('says which end generation would not read', () => {
  const tokenizer = tokenizerOf(chatml.replace('<|im_end|>', '<|im_start|>'));
  expect(turnEnd(tokenizer)).toBe(2);
  expect(unreadEnd(tokenizer, 2)).toMatch(
    /^its template ends a turn with <\|im_start\|>, at which generation/,
  );
  expect(unreadEnd(tokenizer, 3)).toBeUndefined();
  expect(unreadEnd(tokenizer, undefined)).toBeUndefined();
});

it('keeps what the template writes before the answer, and knows templates that end nothing', () => {
  const thinking = chatml.replace(
    '{{ m.content }}',
    "{{ 'hi ' if m.role == 'assistant' else '' }}{{ m.content }}",
  );
  expect(chatTurn(tokenizerOf(thinking), [user], answer).response).toBe('hi yo');
  const bare = '{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}';
  expect(turnEnd(tokenizerOf(bare))).toBeUndefined();
});
