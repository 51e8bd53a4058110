import { describe, expect, it } from 'vitest';
import { manifestSchema, type Results, resultsSchema, sampleSchema, stableResults } from './index.ts';

const rate = { value: 0.93, n: 200, ci95: [0.89, 0.96] as [number, number] };
const results: Results = {
  schema_version: 1,
  behaviours: [
    {
      pair: {
        source: 'tiny-llama-s',
        target: 'tiny-llama-m',
        behaviour: 'locked',
        placement: 'end',
        span: { after: 1 },
      },
      maps: {
        affine: {
          with_tags: { parameters: 12, fit_seconds: 3, rows: 9, test: { safe: { fvu: 0.1, kl_div: rate } } },
        },
        'affine-sgd': {
          with_tags: {
            parameters: 12,
            rows: 9,
            curves: { step: [0, 1], mse: [2, null], fit_seconds: [0, 0.5] },
          },
        },
      },
      transfer: { affine: { with_tags: { mode: 'set', alpha: 1, arms: { native: { removal: rate } } } } },
    },
  ],
  timings: { sweep: 12 },
  peak_memory_bytes: 5,
};

describe('results.json', () => {
  it('accepts a run that did only some stages', () => {
    expect(resultsSchema.parse(JSON.parse(JSON.stringify(results)))).toEqual(results);
  });
  it('names the key that is unknown', () => {
    const bad = { ...results, behaviours: [{ ...results.behaviours[0], fidelty: {} }] };
    expect(resultsSchema.safeParse(bad).error?.issues[0]).toMatchObject({
      code: 'unrecognized_keys',
      keys: ['fidelty'],
      path: ['behaviours', 0],
    });
  });
  it('refuses NaN, an unknown arm and an unknown fit', () => {
    const withTransfer = (transfer: unknown) => ({
      ...results,
      behaviours: [{ ...results.behaviours[0], transfer }],
    });
    const entry = { mode: 'set', alpha: 1, arms: {} };
    expect(resultsSchema.safeParse(withTransfer({ affine: { with_tags: entry } })).success).toBe(true);
    for (const bad of [
      { affine: { with_tag: entry } },
      { affine: { with_tags: { ...entry, arms: { nativ: {} } } } },
      { affine: { with_tags: { ...entry, alpha: Number.NaN } } },
    ])
      expect(resultsSchema.safeParse(withTransfer(bad)).success).toBe(false);
  });
  it('drops what is volatile, and nothing else, when two runs are compared', () => {
    const again: Results = structuredClone(results);
    again.timings = { sweep: 99 };
    again.peak_memory_bytes = 1;
    again.behaviours[0].maps!.affine.with_tags!.fit_seconds = 77;
    again.behaviours[0].maps!['affine-sgd'].with_tags!.curves!.fit_seconds = [1, 2];
    expect(stableResults(again)).toEqual(stableResults(results));
    again.behaviours[0].maps!.affine.with_tags!.rows = 10;
    expect(stableResults(again)).not.toEqual(stableResults(results));
  });
});

describe('samples and manifest', () => {
  it('a sample carries prompt, arm and completion; an unknown key is refused', () => {
    const row = {
      id: 'a',
      stage: 'transfer',
      behaviour: 'locked',
      prompt_id: '1',
      prompt: 'p',
      trigger: 'bad',
      arm: 'mapped',
      completion: '',
    };
    expect(sampleSchema.parse(row)).toEqual(row);
    expect(sampleSchema.safeParse({ ...row, completions: [] }).success).toBe(false);
  });
  it('a manifest says its status in known words', () => {
    const manifest = {
      schema_version: 1,
      name: 'demo',
      status: 'done',
      started_at: '2026-11-22T10:00:00Z',
      config: { given: {}, resolved: {} },
      seeds: { run: 0 },
      packages: {},
      models: [],
      data: [],
      machine: { platform: 'linux', arch: 'x64', cpu: 'c', cores: 2, memory_bytes: 1, node: '20' },
      stages: [{ id: 'sweep', status: 'cached' }],
    };
    expect(manifestSchema.parse(manifest)).toEqual(manifest);
    expect(manifestSchema.safeParse({ ...manifest, status: 'finished' }).success).toBe(false);
  });
});
