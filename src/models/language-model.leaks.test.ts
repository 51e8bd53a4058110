/** @file 700 generations and 50 load-and-dispose cycles leave memory level, in the process's own count and the operating system's. */
import { existsSync, readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { randomModel, randomModelFolder } from './language-model.helper.ts';
import { LanguageModel } from './language-model.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

interface Held {
  /** Resident memory, bytes. */
  readonly rss: number;
  /** JavaScript's own memory and its array buffers, bytes. */
  readonly js: number;
  /** Open files; 0 where the system does not tell. */
  readonly files: number;
}

async function held(): Promise<Held> {
  // finalisers of native objects run after a turn of the event loop
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  const files = existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0;
  return { rss, js: heapUsed + external, files };
}

/** Growth of memory over `rounds` calls after `warmUp` calls. */
async function growth(body: (round: number) => Promise<void>, warmUp: number, rounds: number): Promise<Held> {
  for (let i = 0; i < warmUp; i++) await body(i);
  const before = await held();
  for (let i = warmUp; i < warmUp + rounds; i++) await body(i);
  const after = await held();
  return { rss: after.rss - before.rss, js: after.js - before.js, files: after.files - before.files };
}

test('700 generations of changing shape', async () => {
  await using it = await randomModel('gemma3_text');
  const one = async (i: number): Promise<void> => {
    const prompts = Array.from({ length: 1 + (i % 4) }, (_, b) => `w${5 + b} w${10 + (i % 7)}`);
    await it.model.generate(prompts, {
      maxNewTokens: 8 + (i % 5),
      ...(i % 2 ? { temperature: 1, seed: i } : {}),
    });
  };
  const grown = await growth(one, 200, 500);
  // seen: 0.2 MB of JavaScript's; the engine lets its heap grow once by 14 MB. Leaked decode buffers alone would be 500 × 60 KB
  expect(grown.js).toBeLessThan(2e6);
  expect(grown.rss).toBeLessThan(22e6);
  expect(grown.files).toBeLessThanOrEqual(0);
}, 900_000);

test('50 load-and-dispose cycles, hooks inside blocks included', async () => {
  await using folder = await randomModelFolder('llama');
  const one = async (): Promise<void> => {
    await using model = await LanguageModel.load(folder.path, { threads: 1 });
    await model.runWithCache('w5 w6', { namesFilter: ['resid_mid.1'] });
  };
  const grown = await growth(one, 10, 40);
  // seen: 2 MB in all; the native sessions of one model are about 3 MB
  expect(grown.js).toBeLessThan(2e6);
  expect(grown.rss).toBeLessThan(10e6);
  expect(grown.files).toBeLessThanOrEqual(0);
}, 900_000);
