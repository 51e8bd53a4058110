import { expect, it } from 'vitest';
import type { RunSummary } from '../server/index.ts';
import { rowsOf } from './table-rows.ts';

const run = (id: string, restoration?: number, more: object = {}): RunSummary => ({
  id,
  name: id,
  status: 'done',
  started_at: `2026-01-0${id.length}T00:00:00.000Z`,
  stages: { done: 1, total: 2 },
  models: ['a', 'b'],
  headlines:
    restoration === undefined
      ? []
      : [
          {
            behaviour: 'locked',
            placement: 'end',
            map: 'affine.with_tags',
            word: 'carried',
            sentence: '',
            blocks: { source: 10, target: 9 },
            restoration: { value: restoration, n: 9, ci95: [0, 1] },
          },
        ],
  ...more,
});

it('sorts by value, keeps what has none at the end both ways, and names each run once', () => {
  const two = run('two', 0.5);
  const runs = [
    run('a', 0.1),
    run('none'),
    { id: 'bad', problem: 'broken' },
    { ...two, headlines: 'headlines' in two ? [...two.headlines, ...two.headlines] : [] } as RunSummary,
  ];
  const names = (column: Parameters<typeof rowsOf>[1], descending: boolean) =>
    rowsOf(runs, column, descending).map(({ run, first }) => (first ? run : `(${run})`));
  expect(names('restoration', true)).toEqual(['two', '(two)', 'a', 'bad', 'none']);
  expect(names('restoration', false)).toEqual(['a', 'two', '(two)', 'bad', 'none']);
  expect(names('date', true)).toEqual(['none', 'two', '(two)', 'a', 'bad']);
  expect(names('run', false)).toEqual(['a', 'bad', 'none', 'two', '(two)']);
  expect(rowsOf(runs, 'run', false)[0]?.values).toMatchObject({
    blocks: '10 → 9',
    models: 'a → b',
    stages: '1 of 2',
  });
});
