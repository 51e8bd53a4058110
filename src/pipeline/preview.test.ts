import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Plan } from './plan.ts';
import { previewOutput } from './preview.ts';
import type { FinishedNode } from './runner.ts';
import { defineStage, type InputsSoFar, type OutputsOf } from './stage.ts';

const params = z.strictObject({});
const half = defineStage({
  name: 'half',
  version: '1',
  module: import.meta.url,
  params,
  run: async () => ({ n: 1 }),
});
const halves = { halves: [half] } as const;
const sum = (inputs: InputsSoFar<OutputsOf<typeof halves>>) => ({
  found: (inputs.halves ?? []).map((one) => one?.output.n ?? null),
});
const whole = defineStage({
  name: 'whole',
  version: '1',
  module: import.meta.url,
  params,
  inputs: halves,
  run: async ({ inputs }) => sum(inputs),
  preview: (_, inputs) => sum(inputs),
});
const top = defineStage({
  name: 'top',
  version: '1',
  module: import.meta.url,
  params,
  inputs: { of: whole },
  run: async ({ inputs }) => inputs.of.output,
  preview: (_, { of }) => of?.output ?? { found: [] },
});

describe('what a run will write', () => {
  const plan = new Plan(1);
  const [a, b] = ['a', 'b'].map((id) => plan.add(half, { id, params: {} })) as [never, never];
  const of = plan.add(whole, { id: 'of', params: {}, inputs: { halves: [a, b] } });
  plan.add(top, { id: 'top', params: {}, inputs: { of } });
  const done = (id: string): [string, FinishedNode] => [
    id,
    { id, key: id, folder: '', output: { n: 7 }, cached: false, seconds: 1 },
  ];

  it('is nothing before anything is finished, and nothing for a stage that has no preview', () => {
    expect(previewOutput(plan, 'top', new Map())).toBeUndefined();
    expect(previewOutput(plan, 'a', new Map())).toBeUndefined();
  });
  it('keeps the places of a list, and looks through stages that are not finished themselves', () => {
    expect(previewOutput(plan, 'top', new Map([done('b')]))).toEqual({ found: [null, 7] });
    expect(previewOutput(plan, 'top', new Map([done('a'), done('b')]))).toEqual({ found: [7, 7] });
  });
});
