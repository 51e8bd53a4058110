import { mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { AbortedError, type ProgressEvent } from '../base/index.ts';
import { padBatch } from './batches.ts';
import { inBatches, planBatches } from './plan.ts';
import { tinyModel, tinyRows } from './tiny-model.helper.ts';
import { DivergedError, type TrainOptions, train } from './trainer.ts';

let folder = '';
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'crosspatch-trainer-')), 'state');
});

const rows = tinyRows(24);
const base: TrainOptions = {
  steps: 12,
  schedule: { kind: 'cosine', peak: 1e-2, warmup: 2 },
  batches: planBatches(rows, { batch: 6, accumulation: 2, seed: 1 }).batches,
  threads: 1,
};

describe('a training run', () => {
  it('learns its rows, says how it goes', async () => {
    const { config, parameters } = tinyModel();
    const events: ProgressEvent[] = [];
    const result = await train(config, parameters, {
      ...base,
      steps: 30,
      heldOut: { batches: inBatches(rows, 12), every: 10 },
      onProgress: (e) => events.push(e),
    });
    expect(result.losses.at(-1)).toBeLessThan(0.8 * result.losses[0]);
    expect(result.heldOut.map((h) => h.step)).toEqual([10, 20, 30]);
    expect(result.heldOut[2].loss).toBeLessThan(result.heldOut[0].loss);
    expect(result).toMatchObject({ steps: 30, ended: 'steps' });
    expect(events).toHaveLength(30);
    expect(events.at(-1)).toMatchObject({ stage: 'train', done: 30, total: 30, unit: 'steps' });
    const figures = events[15].figures!;
    for (const key of ['loss', 'tokens_per_second', 'seconds_left', 'learning_rate', 'held_out_loss'])
      expect(figures[key], key).toBeGreaterThan(0);
  });

  it('stopped on request goes on with the same bytes, from the step it stopped at', async () => {
    const whole = tinyModel();
    const straight = await train(whole.config, whole.parameters, base);
    const checkpoint = { folder, every: 100, identity: 'a' };
    const halved = tinyModel();
    const stop = new AbortController();
    const aborted = train(halved.config, halved.parameters, {
      ...base,
      checkpoint,
      signal: stop.signal,
      onProgress: ({ done }) => {
        if (done === 7) stop.abort();
      },
    });
    await expect(aborted).rejects.toThrow(AbortedError);
    expect(await readdir(folder)).toEqual(['step-00000007']);
    const steps: number[] = [];
    const resumed = tinyModel();
    const result = await train(resumed.config, resumed.parameters, {
      ...base,
      checkpoint,
      onProgress: ({ done }) => steps.push(done),
    });
    expect(steps[0]).toBe(8);
    expect(result.losses).toEqual(straight.losses);
    expect(resumed.parameters).toEqual(whole.parameters);
  });

  it('keeps the newest state alone and clears away what a kill left', async () => {
    await mkdir(join(folder, '.step-00000003.1.abc.part'), { recursive: true });
    await writeFile(join(folder, '.step-00000003.1.abc.part', 'first.safetensors'), 'half');
    const { config, parameters } = tinyModel();
    await train(config, parameters, { ...base, steps: 4, checkpoint: { folder, every: 2, identity: 'a' } });
    expect(await readdir(folder)).toEqual(['step-00000004']);
    const again = train(config, parameters, { ...base, checkpoint: { folder, every: 2, identity: 'b' } });
    await expect(again).rejects.toThrow(/holds another training run/);
  });

  it('ends early when held-out loss stops falling, and leaves its best weights', async () => {
    const { config, parameters } = tinyModel();
    const heldOut = { batches: [padBatch(tinyRows(8, 99))], every: 5, patience: 2 }; // unrelated: it overfits
    const options: TrainOptions = { ...base, steps: 500, schedule: { kind: 'constant', peak: 1e-2 } };
    const result = await train(config, parameters, { ...options, heldOut });
    expect(result.ended).toBe('early-stop');
    const best = result.heldOut.reduce((a, b) => (b.loss < a.loss ? b : a));
    expect(result.steps).toBe(best.step);
    expect(result.heldOut.at(-1)!.step).toBe(best.step + 10);
    const straight = tinyModel();
    await train(straight.config, straight.parameters, { ...options, steps: best.step });
    expect(parameters).toEqual(straight.parameters);
  });

  it('stops with a clear word when it diverges', async () => {
    const { config, parameters } = tinyModel();
    const wild = train(config, parameters, {
      ...base,
      steps: 200,
      schedule: { kind: 'constant', peak: 100 },
      checkpoint: { folder, every: 5, identity: 'a' },
    });
    await expect(wild).rejects.toThrow(DivergedError);
    await expect(wild).rejects.toThrow(
      /diverged at step \d+ \(.*\); lower the learning rate; the last good state is in/,
    );
  });

  it('stops at the first loss that is no number', async () => {
    const { config, parameters } = tinyModel();
    parameters.get('model.norm.weight')![0] = Number.NaN;
    await expect(train(config, parameters, base)).rejects.toThrow(
      /diverged at step 1 \(loss NaN, gradient norm NaN\); .*no checkpoint was written before/,
    );
  });
});
