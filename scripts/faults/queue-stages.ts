/** @file A stage for `queue.ts` that takes its time and leaves stamps, so that two processes at it at the same time show. */
import { appendFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { throwIfAborted } from '../../src/base/index.ts';
import type { Plan } from '../../src/pipeline/plan.ts';
import { defineStage } from '../../src/pipeline/stage.ts';

const TICKS = 10;

/**
 * Ten ticks of `TICK_MS` milliseconds; each writes the stage's number, its process, the time and its own number to the file `STAMPS`. Both are of the
 * environment, so that they change nothing of the result.
 */
export const tickStage = defineStage({
  name: 'tick',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ n: z.int() }),
  async run({ params: { n }, folder, rng, progress, signal }) {
    let sum = 0;
    for (let done = 1; done <= TICKS; done++) {
      throwIfAborted(signal, 'tick');
      appendFileSync(process.env.STAMPS ?? '', `${n} ${process.pid} ${Date.now()} ${done}\n`);
      await sleep(Number(process.env.TICK_MS ?? 0));
      sum += rng.int(1000);
      progress({ stage: 'tick', done, total: TICKS, unit: 'ticks' });
    }
    await writeFile(join(folder, 'sum.txt'), String(sum));
    return { sum };
  },
});

/** Adds them up. */
export const addStage = defineStage({
  name: 'add',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({}),
  inputs: { parts: [tickStage] },
  run: async ({ inputs }) => ({ sum: inputs.parts.reduce((a, { output }) => a + output.sum, 0) }),
});

/** `count` stages side by side, and one that reads them all. */
export function addTicks(plan: Plan, count: number): void {
  const parts = Array.from({ length: count }, (_, n) =>
    plan.add(tickStage, { id: `tick.${n}`, params: { n }, seed: n }),
  );
  plan.add(addStage, { id: 'add', params: {}, inputs: { parts } });
}

/** Does nothing but leave a stamp. */
export const stampStage = defineStage({
  name: 'stamp',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ n: z.int() }),
  run: async ({ params: { n } }) => {
    appendFileSync(process.env.STAMPS ?? '', `${n}\n`);
    return { n };
  },
});
