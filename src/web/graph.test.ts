import { describe, expect, it } from 'vitest';
import { layout, nearNeeds } from './graph.ts';

const place = (nodes: Record<string, string[]>) => {
  const { placed, columns, rows } = layout(Object.entries(nodes).map(([id, needs]) => ({ id, needs })));
  return {
    columns,
    rows,
    at: Object.fromEntries(placed.map(({ node, column, row }) => [node.id, [column, row]])),
  };
};

describe('layout of stages', () => {
  it('puts a stage to the right of all it waits for', () => {
    expect(place({ data: [], a: ['data'], b: ['data'], sweep: ['a', 'b'], map: ['sweep', 'data'] })).toEqual({
      columns: 4,
      rows: 2,
      at: { data: [0, 0], a: [1, 0], b: [1, 1], sweep: [2, 0], map: [3, 0] },
    });
  });

  it('keeps lines from crossing where a swap is enough', () => {
    expect(place({ a: [], b: [], needsB: ['b'], needsA: ['a'] }).at).toMatchObject({
      needsA: [1, 0],
      needsB: [1, 1],
    });
  });

  it('draws no line that others imply, and none to what is no stage', () => {
    const nodes = Object.entries({
      data: ['file'],
      tune: ['data'],
      sweep: ['data', 'tune'],
      map: ['tune', 'sweep', 'data'],
    });
    expect([...nearNeeds(nodes.map(([id, needs]) => ({ id, needs })))]).toEqual([
      ['data', []],
      ['tune', ['data']],
      ['sweep', ['tune']],
      ['map', ['sweep']],
    ]);
    expect(
      nearNeeds([
        { id: 'a', needs: ['b'] },
        { id: 'b', needs: ['a'] },
      ]).get('a'),
    ).toEqual(['b']);
  });

  it('takes needs that are no stages as met, and does not hang on a cycle', () => {
    expect(place({ a: ['model file'] }).at).toEqual({ a: [0, 0] });
    expect(Object.keys(place({ a: ['b'], b: ['a'], c: ['c'] }).at).sort()).toEqual(['a', 'b', 'c']);
    expect(place({})).toEqual({ columns: 0, rows: 0, at: {} });
  });
});
