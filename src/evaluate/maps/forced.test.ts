import { describe, expect, it } from 'vitest';
import { comparedPositions } from './forced.ts';

describe('comparedPositions', () => {
  it('are all but the first where the vocabulary allows', () => {
    expect(comparedPositions(5, { texts: 40, vocab: 49_152 })).toEqual([1, 2, 3, 4]);
    expect(comparedPositions(1, { texts: 40, vocab: 49_152 })).toEqual([]);
  });

  it('are spread evenly over the text where it is large, each once', () => {
    const positions = comparedPositions(101, { texts: 40, vocab: 262_144 });
    expect(positions).toHaveLength(12);
    expect(new Set(positions).size).toBe(12);
    expect([positions[0], positions[11]]).toEqual([5, 96]);
    const mean = positions.reduce((s, t) => s + t, 0) / 12;
    expect(Math.abs(mean - 50.5)).toBeLessThan(1);
    // However many texts: enough for a figure of each.
    expect(comparedPositions(101, { texts: 10_000, vocab: 262_144 })).toHaveLength(8);
  });
});
