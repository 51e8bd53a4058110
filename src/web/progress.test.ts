import { describe, expect, it } from 'vitest';
import type { Manifest } from '../contracts/index.ts';
import type { RunEvents } from '../server/index.ts';
import { brief, duration, fold, NOTHING, stageViews } from './progress.ts';

type Line = RunEvents['log'];
const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 10, 0, second)).toISOString();
const line = (second: number, state: Line['state'], done = 0, more: Partial<Line> = {}): Line => ({
  time: at(second),
  stage: 'tune',
  state,
  done,
  ...more,
});
const manifest = (status: Manifest['status'], stage: Manifest['stages'][number]): Manifest =>
  ({ status, started_at: at(0), stages: [stage] }) as Manifest;

describe('progress of a run', () => {
  it('gives rate and time left of what is running', () => {
    const progress = fold(NOTHING, [
      line(0, 'started'),
      line(1, 'running', 10, { total: 100, unit: 'steps' }),
      line(5, 'running', 30, { total: 100, unit: 'steps', figures: { loss: 2 } }),
    ]);
    expect(progress.stages.get('tune')?.rate).toBe(5);
    const [view] = stageViews(manifest('running', { id: 'tune', status: 'running' }), progress);
    expect(view).toMatchObject({
      status: 'running',
      share: 0.3,
      secondsLeft: 14,
      text: '30/100 steps · 5/s · 14 s left',
    });
    expect(view?.progress?.curve).toEqual([{ done: 30, figures: { loss: 2 } }]);
  });

  it('is the same whether lines come at once or one by one', () => {
    const lines = [
      line(0, 'started'),
      line(1, 'running', 3),
      line(2, 'running', 5),
      line(3, 'done', 0, { seconds: 3 }),
    ];
    expect(lines.reduce((p, l) => fold(p, [l]), NOTHING)).toEqual(fold(NOTHING, lines));
  });

  it('begins anew when a stage is started again', () => {
    const progress = fold(NOTHING, [
      line(0, 'started'),
      line(1, 'running', 90, { total: 100, figures: { loss: 1 } }),
      line(60, 'started'),
    ]);
    expect(progress.stages.get('tune')).toMatchObject({ done: 0, curve: [], marks: [] });
  });

  it('believes a log newer than the manifest, and the manifest of a run that ended', () => {
    const progress = fold(NOTHING, [line(1, 'started'), line(2, 'done', 0, { seconds: 1 })]);
    const waiting = { id: 'tune', status: 'waiting' } as const;
    expect(stageViews(manifest('running', waiting), progress)[0]).toMatchObject({ status: 'done', share: 1 });
    const cancelled = { id: 'tune', status: 'cancelled' } as const;
    expect(stageViews(manifest('cancelled', cancelled), progress)[0]?.status).toBe('cancelled');
  });

  it('keeps curves short but never loses their last point', () => {
    const lines = Array.from({ length: 3000 }, (_, i) => line(i, 'running', i, { figures: { loss: i } }));
    const curve = fold(NOTHING, lines).stages.get('tune')?.curve ?? [];
    expect(curve.length).toBeLessThanOrEqual(401);
    expect(curve.at(-1)?.done).toBe(2999);
  });

  it('says times and numbers briefly', () => {
    expect([0.44, 12, 185, 7800].map(duration)).toEqual(['0.4 s', '12 s', '3 min 05 s', '2 h 10 min']);
    expect([0, 0.12345, 1234.5, 1e-5, 3e7].map(brief)).toEqual(['0', '0.123', '1235', '1.0e-5', '3.0e+7']);
  });
});
