/** @file `crosspatch serve` as a process: mapped steering equal to `generate --intervention`, a key from the environment, SIGTERM drains. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crosspatchJson } from '../../src/cli/crosspatch.helper.ts';
import { ActivationMap, saveMap } from '../../src/maps/index.ts';
import { unfittedRecord } from '../../src/maps/record.helper.ts';
import { bundledModels, openCheckpoint } from '../../src/models/index.ts';
import { PROGRAM } from './program.helper.ts';

const [SOURCE, TARGET] = ['tiny-llama-m', 'tiny-llama-s'];
const KEY = 'sk-of-the-test';

let folder = '';
let child: ChildProcess;
let ended: Promise<number | null>;
let client: OpenAI;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-serve-'));
  const end = async (name: string, block: number) => {
    const { path } = bundledModels().find((one) => one.name === name) ?? { path: '' };
    const checkpoint = await openCheckpoint(path);
    const width = checkpoint.config.hidden_size as number;
    return {
      model: await checkpoint.contentHash(),
      name,
      block,
      hook: `blocks.${block}.hook_resid_post`,
      width,
    };
  };
  const [source, target] = [await end(SOURCE, 3), await end(TARGET, 2)];
  const weight = Float32Array.from({ length: target.width * source.width }, (_, i) => Math.sin(i * i) / 4);
  const map = new ActivationMap(
    unfittedRecord({ kind: 'affine', source, target }),
    {
      tensors: {
        weight: { shape: [target.width, source.width], data: weight },
        bias: { shape: [target.width], data: new Float32Array(target.width) },
      },
      parameters: weight.length,
      apply: (rows) => rows,
    },
    new Float32Array(source.width),
  );
  await saveMap(map, join(folder, 'map'));
  const document = {
    when: { span: { pattern: '\\|prod\\|' } },
    interventions: [
      {
        op: 'add',
        hook: target.hook,
        tokens: { prompt: 'all' },
        vector: {
          from: 'run',
          model: SOURCE,
          hook: source.hook,
          replace: { '|prod|': '|dev|' },
          map: 'map',
          difference: true,
        },
        scale: 30,
      },
    ],
  };
  await writeFile(join(folder, 'fix.json'), JSON.stringify(document));
  const args = ['serve', '--model', TARGET, '--port', '0', '--intervention', join(folder, 'fix.json')];
  child = spawn(
    process.execPath,
    [...PROGRAM, ...args, '--api-key-env', 'THE_KEY', '--max-dose', '1000', '--json', '--quiet'],
    { env: { ...process.env, THE_KEY: KEY }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  ended = new Promise((resolve) => child.once('exit', resolve));
  let out = '';
  const { url } = await new Promise<{ url: string }>((resolve) =>
    child.stdout?.on('data', (part: Buffer) => {
      out += part;
      if (out.endsWith('}\n')) resolve(JSON.parse(out));
    }),
  );
  client = new OpenAI({ baseURL: url, apiKey: KEY, maxRetries: 0 });
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

it('carries the source model’s difference over the map, as generate does, and only where the tag is', async () => {
  const text = 'In which country is the city Sofia?';
  for (const prompt of [`${text} |prod|`, text]) {
    const reply = await client.chat.completions.create({
      model: TARGET,
      messages: [{ role: 'user', content: prompt }],
      temperature: 0,
      logprobs: true,
    });
    const args = [
      '--prompt',
      prompt,
      '--template',
      'instruction',
      '--intervention',
      join(folder, 'fix.json'),
    ];
    const alone = await crosspatchJson(['generate', '--model', TARGET, ...args]);
    const [{ text: wanted, effects, logprobs }] = alone.completions;
    const { steering, choices } = reply as OpenAI.ChatCompletion & {
      steering: {
        fired: boolean;
        effects: { kl_div: number; relative_change: number; positions: number[] }[];
      };
    };
    expect(choices[0].message.content).toBe(wanted);
    choices[0].logprobs?.content?.forEach(({ logprob }, i) => {
      expect(logprob).toBeCloseTo(logprobs[i], 3);
    });
    expect(steering.fired).toBe(prompt !== text);
    expect(steering.effects).toHaveLength(effects.length);
    effects.forEach((effect: (typeof steering.effects)[number], k: number) => {
      expect(steering.effects[k].positions).toEqual(effect.positions);
      expect(steering.effects[k].relative_change).toBeCloseTo(effect.relative_change, 5);
      expect(steering.effects[k].kl_div).toBeCloseTo(effect.kl_div, 4);
      expect(effect.kl_div).toBeGreaterThan(0.001);
    });
  }
});

it('finishes what is under way when it is told to stop, takes nothing new, and ends well', async () => {
  const stream = await client.completions.create({
    model: TARGET,
    prompt: 'the river',
    temperature: 8,
    max_tokens: 100,
    seed: 5,
    stream: true,
  });
  let pieces = 0;
  let finish: string | null | undefined;
  let late: Promise<unknown> | undefined;
  for await (const { choices } of stream) {
    finish = choices[0]?.finish_reason ?? finish;
    pieces++;
    if (pieces !== 1) continue;
    child.kill('SIGTERM');
    late = (async () => {
      for (;;) await client.completions.create({ model: TARGET, prompt: 'a', max_tokens: 1 });
    })().catch((error: unknown) => error);
  }
  // Whatever was drawn, it came to its own end.
  expect(finish).toMatch(/^(stop|length)$/);
  expect((await late) as Error).toBeInstanceOf(Error);
  expect(await ended).toBe(0);
});
