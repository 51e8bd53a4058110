/** @file What every tokenizer promises, on one small tokenizer of each kind. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { byteBpeFiles, sampleTexts, smallTokenizers, wordLevelFiles } from './fixtures.helper.ts';
import { tokenizerFromFiles } from './load.ts';
import type { Tokenizer } from './tokenizer.ts';

const { wordLevel, byteBpe, spm } = smallTokenizers();
const lossless: [string, Tokenizer][] = [
  ['byte-level BPE', byteBpe],
  ['SentencePiece BPE', spm],
];

/** Any text: all scripts, halves of surrogate pairs included. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 24 }),
  fc.string({ unit: 'grapheme', maxLength: 24 }),
  fc
    .array(fc.constantFrom('the ', '  ', '|prod|', '\n', '👍🏽', 'e\u0301', '<bos>', '日', '\ud83d'), {
      maxLength: 12,
    })
    .map((p) => p.join('')),
);

describe('offsets', () => {
  it.each([['word level', wordLevel] as [string, Tokenizer], ...lossless])(
    '%s: ordered, inside the text, covering all but white space',
    (_, tokenizer) => {
      fc.assert(
        fc.property(anyText, (text) => {
          const { ids, tokens, offsets } = tokenizer.encode(text);
          expect(tokens).toHaveLength(ids.length);
          expect(offsets).toHaveLength(ids.length);
          const covered = new Set<number>();
          const misplaced = offsets.filter(([start, end], i) => {
            for (let at = start; at < end; at++) covered.add(at);
            const [lastStart, lastEnd] = offsets[i - 1] ?? [0, 0];
            return start < lastStart || end < lastEnd || end < start || end > text.length;
          });
          expect(misplaced).toEqual([]);
          const missed = [...text.split('').keys()].filter((i) => /\S/u.test(text[i]) && !covered.has(i));
          expect(missed).toEqual([]);
        }),
        { numRuns: 150, seed: 11 },
      );
    },
  );

  it.each(lossless)('%s: the slice of a whole-character token is its text', (_, tokenizer) => {
    for (const text of sampleTexts) {
      const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false });
      let checked = 0;
      for (const [i, id] of ids.entries()) {
        const surface = tokenizer.decode([id]);
        if (surface.includes('\ufffd')) continue;
        expect(text.slice(...offsets[i])).toBe(surface);
        checked++;
      }
      expect(checked).toBeGreaterThanOrEqual(Math.min(1, text.length));
    }
  });

  it('gives every byte of a character the whole character, surrogate pairs included', () => {
    const { tokens, offsets } = spm.encode('é😀x');
    expect(tokens).toEqual(['<bos>', 'é', '<0xF0>', '<0x9F>', '<0x98>', '<0x80>', '<0x78>']);
    expect(offsets).toEqual([
      [0, 0],
      [0, 1],
      [1, 3],
      [1, 3],
      [1, 3],
      [1, 3],
      [3, 4],
    ]);
  });

  it('leads from composed text (NFC) back to the input', () => {
    const text = 'xe\u0301y';
    const { ids, offsets } = byteBpe.encode(text);
    expect(byteBpe.decode(ids)).toBe('x\u00e9y');
    const spanOfAccent = offsets.filter(([start, end]) => start < 3 && end > 1);
    expect(spanOfAccent.every(([start, end]) => start <= 1 && end >= 3)).toBe(true);
    expect(offsets.at(-1)).toEqual([3, 4]);
  });
});

describe('encode and decode', () => {
  it.each(lossless)('%s: decode undoes encode, and encodeIds agrees with encode', (_, tokenizer) => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = tokenizer.encodeIds(text, { addSpecialTokens: false });
        expect(ids).toEqual(tokenizer.encode(text, { addSpecialTokens: false }).ids);
        const wellFormed = text.replace(/\p{Surrogate}/gu, '\ufffd');
        expect(tokenizer.decode(ids)).toBe(
          tokenizer === byteBpe ? wellFormed.normalize('NFC') : wellFormed.replaceAll('▁', ' '),
        );
      }),
      { numRuns: 150, seed: 5 },
    );
  });

  it('puts BOS in front, once where asked, never in a chat', () => {
    expect(spm.encodeIds('the')[0]).toBe(spm.bosId);
    expect(spm.encodeIds('<bos>the', { addSpecialTokens: 'auto' })).toEqual(spm.encodeIds('the'));
    expect(spm.encodeIds('<bos>the')).toEqual([2, ...spm.encodeIds('the')]);
    expect(spm.encode('the').offsets[0]).toEqual([0, 0]);
    expect(byteBpe.bosId).toBeUndefined();
  });

  it('follows add_bos_token over the template', () => {
    const config = wordLevelFiles.tokenizerConfig;
    const without = tokenizerFromFiles({
      ...wordLevelFiles,
      tokenizerConfig: { ...config, add_bos_token: false },
    });
    const withEos = tokenizerFromFiles({
      ...wordLevelFiles,
      tokenizerConfig: { ...config, add_eos_token: true },
    });
    expect(wordLevel.encodeIds('odd')[0]).toBe(wordLevel.bosId);
    expect(without.encodeIds('odd')).toEqual(wordLevel.encodeIds('odd').slice(1));
    expect(withEos.encode('odd').offsets.at(-1)).toEqual([3, 3]);
    expect(withEos.encodeIds('odd').at(-1)).toBe(wordLevel.eosIds[0]);
  });

  it('leaves special tokens out of the text where asked', () => {
    const ids = [2, ...spm.encodeIds('the', { addSpecialTokens: false }), 1];
    expect(spm.decode(ids)).toBe('<bos>the<eos>');
    expect(spm.decode(ids, { skipSpecialTokens: true })).toBe('the');
    expect(spm.decode([99_999, ids[1]!, 99_999])).toBe('the'); // padding of the embedding
    expect(() => spm.decode([-1])).toThrow(InputError);
  });

  it('knows its vocabulary', () => {
    expect(spm.vocabSize).toBe(275);
    expect(spm.tokenToId('▁the')).toBe(269);
    expect(spm.idToToken(269)).toBe('▁the');
    expect(spm.tokenToId('nothing')).toBeUndefined();
    expect(spm.isSpecial(2)).toBe(true);
    expect([spm.bosId, spm.eosIds, spm.padId]).toEqual([2, [1], 0]);
  });
});

describe('decodeStream', () => {
  it.each([['word level', wordLevel] as [string, Tokenizer], ...lossless])(
    '%s: the pieces are whole characters and join to decode',
    (_, tokenizer) => {
      fc.assert(
        fc.property(fc.array(anyText, { minLength: 1, maxLength: 6 }), (parts) => {
          const ids = tokenizer.encodeIds(parts.join(' '));
          const stream = tokenizer.decodeStream({ skipSpecialTokens: true });
          const pieces = ids.map((id) => stream.push(id));
          for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
          expect(pieces.join('') + stream.flush()).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
        }),
        { numRuns: 80, seed: 3 },
      );
    },
  );

  it('holds an unfinished character and gives it up on flush', () => {
    const ids = byteBpe.encodeIds('\u{1f9ff}');
    expect(ids.length).toBeGreaterThan(1);
    const stream = byteBpe.decodeStream();
    expect(ids.map((id) => stream.push(id)).join('|')).toBe(`${'|'.repeat(ids.length - 1)}\u{1f9ff}`);
    const cut = byteBpe.decodeStream();
    expect(
      ids
        .slice(0, -1)
        .map((id) => cut.push(id))
        .join(''),
    ).toBe('');
    expect(cut.flush()).toBe('\ufffd');
  });
});

describe('chat templates', () => {
  const template =
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% if m['role'] == 'bad' %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant] {{ extra }}{{ strftime_now('%d %b %Y') }}{% endif %}";
  const chatting = tokenizerFromFiles({ ...wordLevelFiles, chatTemplate: template });

  it('renders with the special tokens, variables and date in scope, and adds no second BOS', () => {
    const options = {
      addGenerationPrompt: true,
      variables: { extra: 'x ' },
      now: new Date('2024-07-26T12:00:00Z'),
    };
    const chat = chatting.encodeChat([{ role: 'user', content: 'Is 7 odd?' }], options);
    expect(chat.text).toBe('<s>[user] Is 7 odd?\n[assistant] x 26 Jul 2024');
    expect(chat.ids.filter((id) => id === chatting.bosId)).toHaveLength(1);
    expect(chat.text.slice(...chat.offsets[0])).toBe('<s>');
    expect(chatting.encodeIds(chat.text, { addSpecialTokens: 'auto' })).toEqual(chat.ids);
  });

  it('says what is wrong', () => {
    expect(() => wordLevel.applyChatTemplate([{ role: 'user', content: 'x' }])).toThrow(
      /no template "default".*base model/,
    );
    expect(() => chatting.applyChatTemplate([], { template: 'tool_use' })).toThrow(/it has: default/);
    expect(() => chatting.applyChatTemplate([{ role: 'bad', content: 'x' }])).toThrow(/no such role/);
    const broken = tokenizerFromFiles({ ...byteBpeFiles, chatTemplate: '{% for %}' });
    expect(() => broken.applyChatTemplate([])).toThrow(InputError);
  });
});
