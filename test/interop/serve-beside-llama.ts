/**
 * @file `serve` beside llama.cpp's server: tokens per second of many streams at a time, the same prompts, greedy, each server alone on the
 * machine, turn by turn (docs/results/serving.md).
 *
 *     LLAMA_SERVER=path/to/llama-server npx tsx test/interop/serve-beside-llama.ts OURS THEIRS.gguf [--vector V.gguf] [--weights packed]
 *
 * OURS: the model as `serve` takes it. THEIRS: the file llama.cpp runs, of any type. --vector: a control vector that both add to every answer.
 */
import { parseArgs } from 'node:util';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { readSteering } from '../../src/cli/steer.ts';
import { startModelServer } from '../../src/server/index.ts';
import { startLlamaServer } from './llama-server.helper.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    vector: { type: 'string' },
    weights: { type: 'string', default: 'f32' },
    streams: { type: 'string', default: '16' },
    answers: { type: 'string', default: '48' },
    tokens: { type: 'string', default: '64' },
    turns: { type: 'string', default: '3' },
  },
});
const [ours = '', theirs = ''] = positionals;
const [streams, answers, tokens, turns] = [values.streams, values.answers, values.tokens, values.turns].map(
  Number,
) as [number, number, number, number];
const prompts = tinyInstructions({ seed: 29, train: 0, validation: 0, test: answers }).map(
  ({ prompt }) => `Write a long story that begins with the question: ${prompt}\nThe story: Once upon a time,`,
);
const vector = values.vector;
const steering = vector === undefined ? undefined : new Map([['v', await readSteering(vector)]]);

interface Rate {
  readonly seconds: number;
  readonly written: number;
  readonly read: number;
}

/** All prompts, so many at a time. */
async function rate(url: string, more: object): Promise<Rate> {
  const left = [...prompts];
  let [written, read] = [0, 0];
  const one = async (prompt: string): Promise<void> => {
    const answer = await fetch(`${url}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', prompt, max_tokens: tokens, temperature: 0, ...more }),
    });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    const { usage } = (await answer.json()) as {
      usage: { completion_tokens: number; prompt_tokens: number };
    };
    written += usage.completion_tokens;
    read += usage.prompt_tokens;
  };
  const stream = async (): Promise<void> => {
    for (let prompt = left.shift(); prompt !== undefined; prompt = left.shift()) await one(prompt);
  };
  await one(prompts[0] as string);
  [written, read] = [0, 0];
  const began = performance.now();
  await Promise.all(Array.from({ length: streams }, stream));
  return { seconds: (performance.now() - began) / 1000, written, read };
}

async function oursOnce(): Promise<Rate> {
  await using server = await startModelServer({
    model: ours,
    name: 'm',
    weights: values.weights === 'packed' ? 'packed' : 'f32',
    template: 'auto',
    host: '127.0.0.1',
    port: 0,
    maxBody: 1 << 20,
    maxTokens: 1024,
    queue: 4 * streams,
    batch: streams,
    maxDose: 100,
    timeout: 600,
    ...(steering === undefined ? {} : { steering, defaultSteering: 'v' }),
  });
  return await rate(server.url, {});
}

async function theirsOnce(): Promise<Rate> {
  const context = streams * 512;
  const all = ['-np', `${streams}`, '-c', `${context}`, '--no-webui'];
  await using server = await startLlamaServer(theirs, [
    ...all,
    ...(vector === undefined ? [] : ['--control-vector', vector]),
  ]);
  return await rate(`${server.url}/v1`, { cache_prompt: false });
}

const perSecond = ({ written, seconds }: Rate): number => written / seconds;
const ratios: number[] = [];
for (let turn = 0; turn < turns; turn++) {
  const [a, b] = [await oursOnce(), await theirsOnce()];
  ratios.push(perSecond(a) / perSecond(b));
  console.log(JSON.stringify({ turn, ours: a, theirs: b, ratio: ratios.at(-1) }));
}
const sorted = ratios.toSorted((a, b) => a - b);
console.log(
  `${streams} streams, ${answers} answers of at most ${tokens} tokens, ${turns} turns: crosspatch / llama.cpp tokens per second, median ${sorted[Math.floor(turns / 2)]?.toFixed(2)} (${sorted[0]?.toFixed(2)} to ${sorted.at(-1)?.toFixed(2)})`,
);
