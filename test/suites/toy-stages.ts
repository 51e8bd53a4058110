/** @file Small stages with real files, randomness, progress and processes, for tests of the runner. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { InputError, throwIfAborted } from '../../src/base/index.ts';
import type { Expand } from '../../src/pipeline/index.ts';
import { defineStage } from '../../src/pipeline/stage.ts';

/** Draws `n` numbers and writes them. */
export const drawStage = defineStage({
  name: 'draw',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ n: z.int().default(10) }),
  async run({ params, folder, rng }) {
    const numbers = Array.from({ length: params.n }, () => rng.int(1000));
    await writeFile(join(folder, 'numbers.json'), JSON.stringify(numbers));
    return { sum: numbers.reduce((a, b) => a + b, 0) };
  },
});

/** Multiplies drawn numbers, slowly if asked to, reporting progress. */
export const scaleStage = defineStage({
  name: 'scale',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ factor: z.number(), milliseconds: z.number().default(0) }),
  inputs: { numbers: drawStage },
  async run({ params, inputs, folder, progress, signal }) {
    const text = await readFile(join(inputs.numbers.folder, 'numbers.json'), 'utf8');
    const scaled: number[] = [];
    for (const number of JSON.parse(text) as number[]) {
      throwIfAborted(signal, 'scale');
      await sleep(params.milliseconds);
      scaled.push(number * params.factor);
      progress({ stage: 'inner', done: scaled.length, total: 10, unit: 'numbers' });
    }
    await writeFile(join(folder, 'scaled.json'), JSON.stringify(scaled));
    return { sum: scaled.reduce((a, b) => a + b, 0) };
  },
});

/** The same in a child process. */
export const scaleChildStage: typeof scaleStage = { ...scaleStage, name: 'scale-child', child: true };

/** Adds any number of scaled sums; its output is a results document. */
export const totalStage = defineStage({
  name: 'total',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ label: z.string().default('toy') }),
  inputs: { parts: [scaleStage] },
  async run({ params, inputs, folder }) {
    const value = inputs.parts.reduce((a, part) => a + part.output.sum, 0);
    const sample = {
      id: 'toy/1',
      stage: 'toy',
      behaviour: params.label,
      prompt_id: '1',
      prompt: 'p',
      trigger: 'bad',
    };
    const completion = String(value);
    await writeFile(
      join(folder, 'samples.jsonl'),
      `${JSON.stringify({ ...sample, arm: 'unpatched', completion })}\n`,
    );
    const pair = { source: 'a', target: 'b', behaviour: params.label, placement: 'end', span: { after: 1 } };
    const strip_trigger = { value, n: inputs.parts.length, ci95: [value, value] };
    return { schema_version: 1, behaviours: [{ pair, strip_trigger }] };
  },
});

/** Fails: with the user's fault, its own, or by killing its process. */
export const failStage = defineStage({
  name: 'fail',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ how: z.enum(['input', 'bug', 'kill', 'nan']) }),
  async run({ params }) {
    if (params.how === 'input') throw new InputError('data.jsonl: empty');
    if (params.how === 'kill') process.kill(process.pid, 'SIGKILL');
    if (params.how === 'nan') return { value: Number.NaN };
    throw new TypeError('undefined is not a function');
  },
});

/** The same in a child process, where `kill` ends only that. */
export const failChildStage: typeof failStage = { ...failStage, name: 'fail-child', child: true };

/** Gives back the order and the text of what it was given. */
export const echoStage = defineStage({
  name: 'echo',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({ words: z.record(z.string(), z.string()) }),
  run: async ({ params: { words } }) => ({ keys: Object.keys(words), text: Object.values(words).join() }),
});

/** Asks for 3 GB. */
export const largeStage = defineStage({
  name: 'large',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({}),
  estimate: () => ({ memory_bytes: 3e9 }),
  run: async () => ({}),
});

/** A diamond of toy stages: draw → two scalings, one of them in a child process → total. `sweep.prompts` is the first factor. */
export const expandToy: Expand = async (recipe, plan) => {
  const numbers = plan.add(drawStage, { id: 'toy.draw', params: { n: 10 } });
  const milliseconds = Number(process.env.TOY_MILLISECONDS ?? 0);
  const inputs = { numbers };
  const left = { factor: recipe.sweep.prompts, milliseconds };
  const parts = [
    plan.add(scaleStage, { id: 'toy.scale.left', params: left, inputs }),
    plan.add(scaleChildStage, { id: 'toy.scale.right', params: { factor: 3, milliseconds }, inputs }),
  ];
  const results = plan.add(totalStage, {
    id: 'toy.total',
    params: {},
    inputs: { parts },
    publish: { 'samples/toy.jsonl': 'samples.jsonl', 'maps/all': '.' },
  });
  return { results };
};
