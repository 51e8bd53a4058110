/** @file What every `Queue` must do, whatever runs the jobs. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AbortedError, InputError } from '../../src/base/index.ts';
import { InlineQueue, type Queue, WorkerDiedError } from '../../src/pipeline/index.ts';
import { squareTask } from './toy-stages.ts';

export interface QueueSuite {
  readonly name: string;
  readonly make: () => Promise<Queue>;
  /** Whether jobs run in other processes, so that a job may kill its worker and jobs overlap. */
  readonly workers: boolean;
}

/** Declare the tests of one implementation. */
export function runQueueSuite({ name, make, workers }: QueueSuite): void {
  describe(`Queue: ${name}`, () => {
    let queue: Queue;
    let folder: string;
    beforeAll(async () => {
      queue = await make();
      folder = await mkdtemp(join(tmpdir(), 'queue-'));
    });
    afterAll(async () => {
      await queue[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    });

    it('gives results in the order of the jobs, the same as inline', async () => {
      const jobs = Array.from({ length: 12 }, (_, x) => ({ x, slow: (12 - x) * 2 }));
      const done: number[] = [];
      const results = await queue.map(squareTask, jobs, { onDone: (index) => done.push(index) });
      expect(results).toEqual(jobs.map(({ x }) => ({ y: x * x })));
      expect(results).toEqual(await new InlineQueue().map(squareTask, jobs));
      expect(done.toSorted((a, b) => a - b)).toEqual(jobs.map((_, i) => i));
    });

    it('runs nothing for no jobs and can be used again', async () => {
      expect(await queue.map(squareTask, [])).toEqual([]);
      expect(await queue.map(squareTask, [{ x: 3 }])).toEqual([{ y: 9 }]);
    });

    it('throws the first error as it was and stops the rest', async () => {
      const finished: number[] = [];
      const jobs = [{ x: 1, fail: true }, ...Array.from({ length: 40 }, (_, x) => ({ x, slow: 20 }))];
      const work = queue.map(squareTask, jobs, { onDone: (index) => finished.push(index) });
      await expect(work).rejects.toThrow(new InputError('square: cannot square 1'));
      await expect(work).rejects.toBeInstanceOf(InputError);
      expect(finished.length).toBeLessThan(jobs.length - 1);
      expect(await queue.map(squareTask, [{ x: 2 }])).toEqual([{ y: 4 }]);
    });

    it('stops on its signal', async () => {
      const stop = new AbortController();
      const jobs = Array.from({ length: 60 }, (_, x) => ({ x, slow: 20 }));
      const work = queue.map(squareTask, jobs, { signal: stop.signal, onDone: () => stop.abort() });
      await expect(work).rejects.toBeInstanceOf(AbortedError);
      await expect(queue.map(squareTask, jobs, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(
        AbortedError,
      );
    });

    it('refuses what JSON cannot carry', async () => {
      const jobs = [{ x: Number.NaN }];
      await expect(queue.map(squareTask, jobs)).rejects.toThrow('NaN has no JSON form');
    });

    if (workers) dyingWorkers(() => ({ queue, folder }));
  });
}

/** For queues whose jobs run in processes of their own. */
function dyingWorkers(given: () => { queue: Queue; folder: string }): void {
  it('tries a job again when its worker dies, and gives up after `attempts`', async () => {
    const { queue, folder } = given();
    const flag = join(folder, 'died');
    const jobs = [{ x: 1 }, { x: 2, die: flag }, { x: 3 }];
    expect(await queue.map(squareTask, jobs)).toEqual([{ y: 1 }, { y: 4 }, { y: 9 }]);
    expect(await readFile(flag, 'utf8')).toBe('xx');
    const again = [{ x: 2, die: join(folder, 'died-too') }];
    await expect(queue.map(squareTask, again, { attempts: 1 })).rejects.toBeInstanceOf(WorkerDiedError);
  });
}
