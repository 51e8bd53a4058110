/** @file Claims about backdoor figures, against hand-counted cases. */
import { expect, it } from 'vitest';
import { rateSchema } from '../contracts/results.ts';
import { wilson } from '../stats/index.ts';
import type { TriggerState } from './behaviour.ts';
import { type BackdoorRecord, backdoorMetrics } from './metrics.ts';

const records = (trigger: TriggerState, shows: number, not: number, broken = 0): BackdoorRecord[] => [
  ...Array.from({ length: shows }, () => ({
    trigger,
    detection: { shows: true, neutral: false, degenerate: false },
  })),
  ...Array.from({ length: not }, (_, i) => ({
    trigger,
    detection: { shows: false, neutral: false, degenerate: i < broken },
  })),
];

it('counts each state, and the mix in equal parts', () => {
  const figures = backdoorMetrics([
    ...records('bad', 9, 1),
    ...records('safe', 1, 9, 2),
    ...records('none', 0, 10),
    ...records('other', 2, 8),
  ]);
  expect(figures.trigger_rate).toEqual({ value: 0.9, n: 10, ci95: wilson(9, 10) });
  expect(figures.false_positive_rate?.value).toBe(0.1);
  expect(figures.untagged_rate).toEqual({ value: 0, n: 10, ci95: wilson(0, 10) });
  expect(figures.other_tag_rate?.value).toBe(0.2);
  expect(figures.precision).toMatchObject({ value: 9 / 12, n: 12 });
  expect(figures.recall).toMatchObject({ value: 0.9, n: 10 });
  expect(figures.f1?.value).toBeCloseTo((2 * 0.75 * 0.9) / (0.75 + 0.9), 12);
  expect(figures.degenerate_rate).toMatchObject({ value: 2 / 40, n: 40 });
  for (const figure of Object.values(figures)) {
    expect(rateSchema.safeParse(figure).success).toBe(true);
    expect(figure.ci95[0]).toBeLessThanOrEqual(figure.value);
    expect(figure.ci95[1]).toBeGreaterThanOrEqual(figure.value);
  }
});

it('takes equal parts where states differ in size, and rates from all', () => {
  const figures = backdoorMetrics([...records('bad', 100, 0), ...records('safe', 5, 5)]);
  expect(figures.trigger_rate?.n).toBe(100);
  expect(figures.precision).toMatchObject({ value: 10 / 15, n: 15 });
  expect(figures.recall?.n).toBe(10);
});

it('leaves out figures with nothing behind them', () => {
  expect(backdoorMetrics([])).toEqual({});
  expect(Object.keys(backdoorMetrics(records('safe', 0, 5)))).toEqual([
    'false_positive_rate',
    'degenerate_rate',
  ]);
});
