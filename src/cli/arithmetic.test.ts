/** @file `--arithmetic fast` of generate and serve: its figures are said, and it is refused in one line where it is not for the model. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { massive, quantisedVariant } from '../models/quantised.helper.ts';
import { startModelServer } from '../server/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

type Quantised = Awaited<ReturnType<typeof quantisedVariant>>;

const PROMPT = ['--prompt', 'Which day comes after Saturday?', '--max-tokens', '8'];
const FAST = ['--weights', 'packed', '--arithmetic', 'fast'];
let root: string;
let plain: Quantised;
let spoilt: Quantised;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-arithmetic-'));
  vi.stubEnv('CROSSPATCH_CACHE', join(root, 'cache'));
  plain = await quantisedVariant();
  spoilt = await quantisedVariant(massive);
  await writeFile(
    join(root, 'asked.jsonl'),
    '{"prompt":"Name three colours."}\n{"prompt":"What is 3 plus 4?"}\n',
  );
}, 60_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await plain[Symbol.asyncDispose]();
  await spoilt[Symbol.asyncDispose]();
  await rm(root, { recursive: true });
});

it('generate says what the comparison found', async () => {
  const said = await crosspatch(['generate', '--model', plain.file, ...PROMPT, ...FAST]);
  expect(said.code).toBe(0);
  expect(said.err).toMatch(
    /fast arithmetic: the best token of exact at \d+(\.\d+)? % of \d+ positions of 1 prompts?, logits within \S+ % of the largest/,
  );
  const { arithmetic, completions } = await crosspatchJson([
    'generate',
    '--model',
    plain.file,
    ...PROMPT,
    ...FAST,
  ]);
  expect(arithmetic).toMatchObject({ kind: 'fast', prompts: 1 });
  expect(arithmetic.same_best).toBeGreaterThanOrEqual(0.9);
  const exact = await crosspatchJson(['generate', '--model', plain.file, ...PROMPT, '--weights', 'packed']);
  expect(exact).not.toHaveProperty('arithmetic');
  expect(completions[0].text).toBe(exact.completions[0].text);
  const lines = ['--data', join(root, 'asked.jsonl'), '--max-tokens', '4', '--json', '--quiet'];
  const { out } = await crosspatch(['generate', '--model', plain.file, ...FAST, ...lines]);
  for (const line of out.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ arithmetic: 'fast' });
}, 120_000);

it.each([
  ['weights in float32', [], /^--arithmetic fast: wanted --weights packed, got f32/],
  ['steering', ['--weights', 'packed', '--intervention', 'x.json'], /without steering, got --intervention/],
  ['an adapter', ['--weights', 'packed', '--adapter', 'x'], /--weights packed: an adapter is merged/],
])('generate refuses it with %s', async (_, options, message) => {
  const { code, out, err } = await crosspatch([
    'generate',
    '--model',
    plain.file,
    ...PROMPT,
    '--arithmetic',
    'fast',
    '--quiet',
    ...options,
  ]);
  expect([code, out]).toEqual([2, '']);
  expect(err.replace(/^error: |^crosspatch: /, '')).toMatch(message);
  expect(err.trim().split('\n')).toHaveLength(1);
});

it('generate refuses it on massive activations, before a word is said', async () => {
  const { code, out, err } = await crosspatch([
    'generate',
    '--model',
    spoilt.file,
    ...PROMPT,
    ...FAST,
    '--quiet',
  ]);
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(/fast arithmetic: wanted the best token .* take exact arithmetic .*arithmetic-differs/);
}, 60_000);

it('serve compares on the messages of a file, and steers nothing', async () => {
  const serve = ['serve', '--model', plain.file, '--port', '0'];
  for (const [more, message] of [
    [FAST, '--arithmetic fast: wanted --guard-data FILE'],
    [['--guard-data', 'x.jsonl'], '--guard-data: is for --arithmetic fast, got exact'],
    [
      [...FAST, '--intervention', 'x.json', '--guard-data', 'x.jsonl'],
      'without steering, got --intervention',
    ],
  ] as const) {
    const { code, err } = await crosspatch([...serve, ...more]);
    expect(code).toBe(2);
    expect(err).toContain(message);
  }
  const guard = ['--guard-data', join(root, 'asked.jsonl')];
  const { code, out, err } = await crosspatch([...serve, ...FAST, ...guard], { stopOn: 'Ctrl-C' });
  expect([code, out]).toEqual([expect.any(Number), expect.stringMatching(/^http/)]);
  expect(err).toMatch(/fast arithmetic: the best token of exact at .* of 2 prompts/);
}, 120_000);

it('a server in fast arithmetic answers, and refuses a request that steers', async () => {
  await using server = await startModelServer({
    model: plain.file,
    weights: 'packed',
    arithmetic: 'fast',
    guardTexts: ['Name three colours.', 'What is 3 plus 4?'],
    template: 'auto',
    host: '127.0.0.1',
    port: 0,
    maxBody: 100_000,
    maxTokens: 16,
    queue: 4,
    batch: 2,
    maxDose: 4,
    timeout: 60,
  });
  expect(server.guarded).toMatchObject({ prompts: 2 });
  const ask = async (more: object) => {
    const body = {
      model: server.name,
      messages: [{ role: 'user', content: 'Name a colour.' }],
      max_tokens: 4,
    };
    const answer = await fetch(`${server.url}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, ...more }),
    });
    return { status: answer.status, text: await answer.text() };
  };
  expect((await ask({})).status).toBe(200);
  const vector = { from: 'inline', values: Array.from({ length: 160 }, () => 1) };
  const steering = {
    op: 'add',
    hook: 'blocks.2.hook_resid_post',
    tokens: { prompt: 'all' },
    vector,
    scale: 1,
  };
  const steered = await ask({ steering });
  expect(steered.status).toBe(400);
  expect(steered.text).toContain('fast arithmetic');
}, 120_000);
