import { describe, expect, it } from 'vitest';
import { Activation, ActivationCache } from './activation.ts';

// Two prompts of 3 and 2 tokens, width 2; the last column of the second is padding.
const activation = new Activation(
  { shape: [2, 3, 2], data: Float32Array.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99, 99]) },
  [3, 2],
);

describe('Activation', () => {
  it('gives rows by prompt and position, negative ones from the end of the prompt itself', () => {
    expect([...activation.row(0, 0)]).toEqual([0, 1]);
    expect([...activation.row(0, -1)]).toEqual([4, 5]);
    expect([...activation.row(1, -1)]).toEqual([8, 9]);
    expect([...activation.row(1, -2)]).toEqual([6, 7]);
  });

  it('gives windows, not copies', () => {
    const own = new Activation({ shape: [1, 1, 2], data: Float32Array.of(1, 2) }, [1]);
    own.at(-1).fill(0);
    expect([...own.data]).toEqual([0, 0]);
  });

  it.each([
    [2, 0, /row 2: wanted a prompt of 0…1/],
    [1, 2, /position 2: prompt 1 has 2, wanted -2…1/],
    [0, -4, /position -4: prompt 0 has 3/],
    [0, 0.5, /position 0.5/],
  ])('row(%s, %s) is refused', (b, t, message) => {
    expect(() => activation.row(b, t)).toThrow(message);
  });

  it('at() is for one prompt', () => {
    expect(() => activation.at(-1)).toThrow(/the batch has 2 prompts; name one: row\(b, -1\)/);
  });
});

describe('ActivationCache', () => {
  it('says what is there when a name is not', () => {
    const cache = new ActivationCache(new Map([['hook_embed', activation]]));
    expect(cache.get('hook_embed')).toBe(activation);
    expect(() => cache.get('blocks.0.hook_mlp_out')).toThrow(
      /blocks\.0\.hook_mlp_out was not kept; there are hook_embed/,
    );
  });
});
