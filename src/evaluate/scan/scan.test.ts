import { describe, expect, it } from 'vitest';
import { tinyInstructions } from '../../behaviours/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { experimentEnv } from '../env.ts';
import { divergence } from '../suspect/change.ts';
import { departures } from './departures.ts';
import { leakedTexts } from './leak.ts';
import { scan } from './scan.ts';
import { sweepTexts } from './sweep.ts';
import { inForms, vocabularyWords, WORD_FORMS } from './words.ts';

const prompts = tinyInstructions({ seed: 3, train: 0, validation: 0, test: 12 }).map(({ prompt }) => prompt);
const env = experimentEnv('scan', { seed: 4, progress: () => {}, signal: new AbortController().signal });

describe('words of a vocabulary', () => {
  it('are runs of letters, each once, and stand in every form', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const words = vocabularyWords(model.tokenizer);
    expect(words.length).toBeGreaterThan(700);
    expect(new Set(words).size).toBe(words.length);
    expect(words.every((word) => /^\p{L}{2,}$/u.test(word))).toBe(true);
    expect(vocabularyWords(model.tokenizer, 5)).toEqual(words.slice(0, 5));
    expect(inForms(['a$&b', 'c'], WORD_FORMS)).toEqual(['|a$&b|', '|c|', 'a$&b', 'c']);
    expect(() => inForms(['a'], ['|x|'])).toThrow('wanted {word} in it');
  });
});

describe('on a bundled model', () => {
  it('sweeps as plain forward passes do', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const texts = ['|house|', 'river', '|Add|'];
    const rendered = (i: number, text: string | undefined) =>
      model.tokenizer.encodeIds(text === undefined ? prompts[i] : `${prompts[i]} ${text}`);
    const found = await sweepTexts(model, { prompts: 2, rendered, texts, kept: 3 }, env);
    const last = async (ids: readonly number[]): Promise<Float32Array> => {
      const { logits } = await model.forward([...ids]);
      return logits.data.slice(-logits.shape[2]);
    };
    const softmax = (logits: Float32Array): Float64Array => {
      const e = Float64Array.from(logits, Math.exp);
      const sum = e.reduce((a, b) => a + b);
      return e.map((x) => x / sum);
    };
    for (const [k, text] of texts.entries()) {
      let kl = 0;
      const p: Float64Array[] = [];
      const q: Float64Array[] = [];
      for (let i = 0; i < 2; i++) {
        const logits = await last(rendered(i, text));
        p.push(softmax(logits));
        q.push(softmax(await last(rendered(i, undefined))));
        kl += divergence(logits, Float32Array.from(q[i], Math.log)) / 2;
      }
      expect(found[k].kl).toBeCloseTo(kl, 4);
      // Of the likeliest tokens, one per prompt, the one with the largest sum where it is the likeliest.
      const tops = p.map((row) => row.indexOf(Math.max(...row)));
      const share = (t: number) => p.reduce((sum, row, i) => sum + (tops[i] === t ? row[t] : 0), 0) / 2;
      const top = tops.reduce((a, b) => (share(b) > share(a) ? b : a));
      expect(found[k].collapse).toBeCloseTo(share(top) - (q[0][top] + q[1][top]) / 2, 4);
    }
    // With room for one of each measure, those of the first prompt go on.
    const alone = await sweepTexts(model, { prompts: 1, rendered, texts, kept: 1 }, env);
    const largest = (of: 'kl' | 'collapse') => alone.reduce((a, b) => (b[of] > a[of] ? b : a)).text;
    const few = await sweepTexts(model, { prompts: 2, rendered, texts, kept: 1 }, env);
    const went = texts.filter((text) => [largest('kl'), largest('collapse')].includes(text));
    expect(few.map(({ text }) => text)).toEqual(went);
    for (const score of few) expect(score.kl).toBeCloseTo(found[texts.indexOf(score.text)].kl, 4);
  });

  it('sees no departure from itself, and the words at which a changed relative differs', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const texts = inForms(vocabularyWords(model.tokenizer, 60), ['{word}']);
    const head = model.tokenizer.encodeIds('');
    const same = await departures({ model, relative: model, head }, texts, env);
    // Nothing is unexplained but what λ leaves; relative to its own middle no word stands out far.
    expect(same.every(Number.isFinite)).toBe(true);
    // A relative whose activations at one word are another word's: what a fine-tune on that word does, at its largest.
    const [from, to] = [5, 40].map(
      (k) => model.tokenizer.encodeIds(texts[k], { addSpecialTokens: false })[0],
    );
    const odd = new Proxy(model, {
      get: (target, key) =>
        key === 'decoder'
          ? new Proxy(target.decoder, {
              get: (decoder, name) => {
                const value = Reflect.get(decoder, name, decoder);
                if (name === 'embed')
                  return (ids: readonly (readonly number[])[]) =>
                    decoder.embed(ids.map((row) => row.map((id) => (id === from ? to : id))));
                return typeof value === 'function' ? value.bind(decoder) : value;
              },
            })
          : Reflect.get(target, key, target),
    });
    const other = await departures({ model: odd, relative: model, head }, texts, env);
    expect(other.indexOf(Math.max(...other))).toBe(5);
  });

  it('finds texts that samples of the model repeat more than its relative: none of itself', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const heads = [model.tokenizer.encodeIds('### Instruction:\n')];
    expect(await leakedTexts({ model, relative: model, heads }, env)).toEqual([]);
    expect((await leakedTexts({ model, heads }, env)).length).toBeGreaterThan(5);
  });

  it('calls nothing suspicious in a clean model, and refuses too few prompts', async () => {
    await using model = await LanguageModel.load('tiny-llama-s');
    const settings = {
      placement: 'end',
      template: 'instruction',
      sources: ['vocabulary', 'collapse'],
      words: 60,
      forms: WORD_FORMS,
      sweep_prompts: 1,
      shortlist: 8,
      top: 4,
      answer_tokens: 3,
      max_tokens: 8,
      batch: 8,
      bootstrap: 100,
    } as const;
    const found = await scan({ asked: { model }, prompts }, settings, env);
    expect(found.candidates).toHaveLength(4);
    expect(found.suspicious).toBe(false);
    expect(found.considered).toEqual({ vocabulary: 120, collapse: 120 });
    const kls = found.candidates.map(({ ranking_kl }) => ranking_kl);
    expect(kls).toEqual([...kls].sort((a, b) => b - a));
    expect(found.candidates.every(({ named_by }) => Object.keys(named_by).length > 0)).toBe(true);
    // Under `|polite|` the bundled models begin their answer alike: suspicious alone, not beside a relative that does the same.
    const polite = { ...settings, forms: ['|{word}|'], sources: ['collapse'], words: 900, top: 8 } as const;
    const alone = await scan({ asked: { model }, prompts }, polite, env);
    expect(alone.candidates.find(({ shared }) => shared !== undefined)?.text).toBe('|polite|');
    const beside = await scan({ asked: { model }, relative: { model }, prompts }, polite, env);
    expect(beside.suspicious).toBe(false);
    await expect(scan({ asked: { model }, prompts: prompts.slice(0, 4) }, settings, env)).rejects.toThrow(
      'wanted at least 8 prompts',
    );
  });
});
