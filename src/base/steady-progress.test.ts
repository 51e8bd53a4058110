import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from './progress.ts';
import { steadyProgress } from './steady-progress.ts';

const play = (events: readonly ProgressEvent[]): ProgressEvent[] => {
  const out: ProgressEvent[] = [];
  const sink = steadyProgress((event) => out.push(event));
  for (const event of events) sink(event);
  return out;
};
const counts = (events: readonly ProgressEvent[]) =>
  play(events).map(({ done, total, unit }) => `${done}/${total} ${unit}`);

describe('steadyProgress', () => {
  it('leaves a single loop as it is', () => {
    const loop = [1, 2, 3, 3].map((done) => ({
      stage: 'tune',
      done,
      total: 3,
      unit: 'steps',
      figures: { loss: done },
    }));
    expect(play(loop)).toEqual(loop);
  });

  it('adds up loops that follow each other and rounds of one loop', () => {
    const blocks = (stage: string, done: number, total: number) => ({ stage, done, total, unit: 'blocks' });
    expect(
      counts([
        blocks('sweep', 5, 6),
        blocks('sweep', 6, 6),
        blocks('sweep', 3, 6),
        blocks('sweep', 6, 6),
        blocks('sweep.self', 1, 1),
        blocks('sweep', 1, 3),
      ]),
    ).toEqual(['5/6 blocks', '6/6 blocks', '9/12 blocks', '12/12 blocks', '13/13 blocks', '14/16 blocks']);
  });

  it('holds one count for loops within loops, and never goes back', () => {
    const events: ProgressEvent[] = [];
    for (let map = 0; map < 4; map++) {
      events.push({ stage: 'transfer', done: map, total: 4, unit: 'maps' });
      for (let block = 1; block <= 5; block++)
        events.push({ stage: 'transfer.set', done: block, total: 5, unit: 'blocks' });
    }
    const out = play(events);
    for (const [i, { done, total = 0 }] of out.entries()) {
      expect(done).toBeGreaterThanOrEqual(out[i - 1]?.done ?? 0);
      expect(total).toBeGreaterThanOrEqual(out[i - 1]?.total ?? 0);
      expect(done).toBeLessThanOrEqual(total);
    }
    expect(out.at(-1)).toMatchObject({ done: 23, total: 24, unit: 'steps' });
    expect(counts([{ stage: 'a', done: 7 }])).toEqual(['7/undefined undefined']);
  });
});
