import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AbortedError, CrosspatchError, InputError } from '../../base/index.ts';
import { type OpenAiJudgeOptions, openAiJudge } from './index.ts';

interface Request {
  model: string;
  temperature: number;
  max_tokens: number;
  messages: { role: string; content: string }[];
  authorization: string | undefined;
  path: string | undefined;
}

const KEY_ENV = 'CROSSPATCH_TEST_JUDGE_KEY';
let server: Server;
let folder: string;
let requests: Request[];
/** What the server does with a request; a string is sent as the assistant's answer. */
let behave: (request: Request, response: ServerResponse, count: number) => string | undefined;

async function read(message: IncomingMessage): Promise<Request> {
  let body = '';
  for await (const chunk of message) body += String(chunk);
  return {
    ...(JSON.parse(body) as Omit<Request, 'authorization' | 'path'>),
    authorization: message.headers.authorization,
    path: message.url,
  };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-judge-'));
  requests = [];
  behave = grade;
  server = createServer((message, response) => {
    void read(message).then((request) => {
      requests.push(request);
      const content = behave(request, response, requests.length);
      if (content !== undefined) answer(response, content);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
  delete process.env[KEY_ENV];
});

/** A small judge of its own: 5 for equal texts, 3 where the first begins with "A", else 1. Not symmetric, on purpose. */
function grade(request: Request): string {
  const { text_1, text_2 } = JSON.parse(request.messages[1].content) as { text_1: string; text_2: string };
  return JSON.stringify({ score: text_1 === text_2 ? 5 : text_1.startsWith('A') ? 3 : 1 });
}

function judge(options: Partial<OpenAiJudgeOptions> = {}) {
  const { port } = server.address() as AddressInfo;
  return openAiJudge({
    baseUrl: `http://127.0.0.1:${port}/v1`,
    model: 'grader',
    backoffMs: 1,
    ...options,
  });
}
function answer(response: ServerResponse, content: string): void {
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify({
      id: 'x',
      choices: [{ index: 0, message: { role: 'assistant', content } }],
      usage: { prompt_tokens: 100, completion_tokens: 7, total_tokens: 107 },
    }),
  );
}
const refuse = (response: ServerResponse, status: number, body = 'no'): undefined => {
  response.statusCode = status;
  response.end(body);
};

describe('openAiJudge', () => {
  it('asks in both orders at temperature 0 and averages, in the order of the pairs', async () => {
    const j = judge();
    const scores = await j.score([
      { candidate: 'B', reference: 'A' },
      { candidate: 'same', reference: 'same' },
      { candidate: 'C', reference: 'D' },
    ]);
    expect(scores).toEqual([2, 5, 1]);
    expect(j).toMatchObject({ name: 'llm', metric: 'rubric_1-5_v1' });
    const orders = requests.map((r) => r.messages[1].content);
    expect(orders).toContain('{"text_1":"A","text_2":"B"}');
    expect(orders).toContain('{"text_1":"B","text_2":"A"}');
    expect(requests).toHaveLength(5);
    for (const r of requests)
      expect(r).toMatchObject({ model: 'grader', temperature: 0, path: '/v1/chat/completions' });
    expect(requests[0].authorization).toBeUndefined();
    expect(requests[0].messages[0].content).toContain('1: nothing in common');
  });

  it('counts tokens and cost, and reports progress', async () => {
    const seen: string[] = [];
    const j = judge({
      price: { prompt: 2, completion: 10 },
      onProgress: (e) => seen.push(`${e.done}/${e.total}`),
      concurrency: 1,
    });
    await j.score([{ candidate: 'x', reference: 'y' }]);
    expect(j.usage).toEqual({
      requests: 2,
      cached: 0,
      promptTokens: 200,
      completionTokens: 14,
      cost: (200 * 2 + 14 * 10) / 1e6,
    });
    expect(seen).toEqual(['1/2', '2/2']);
  });

  it('asks each question once: within a call, and over runs by the cache; a damaged cache file is asked again', async () => {
    const pair = { candidate: 'x', reference: 'y' };
    await judge({ cacheFolder: folder }).score([pair, pair, { candidate: 'y', reference: 'x' }]);
    expect(requests).toHaveLength(2);
    const again = judge({ cacheFolder: folder });
    expect(await again.score([pair])).toEqual([1]);
    expect(requests).toHaveLength(2);
    expect(again.usage).toMatchObject({ requests: 0, cached: 2 });
    const files = await readdir(folder);
    expect(files).toHaveLength(2);
    expect(await readFile(join(folder, files[0]), 'utf8')).toBe('{\n  "score": 1\n}\n');
    await writeFile(join(folder, files[0]), '{"sco');
    await judge({ cacheFolder: folder }).score([pair]);
    expect(requests).toHaveLength(3);
    await judge({ cacheFolder: folder, model: 'other' }).score([pair]);
    await judge({ cacheFolder: folder, rubric: '0-5' }).score([pair]);
    expect(requests).toHaveLength(7);
  });

  it('the paper rubric takes 0, the other does not', async () => {
    behave = () => '{"score": 0}';
    const pair = [{ candidate: 'x', reference: 'y' }];
    const paper = judge({ rubric: '0-5' });
    expect(await paper.score(pair)).toEqual([0]);
    expect(paper.metric).toBe('rubric_0-5_v1');
    await expect(judge().score(pair)).rejects.toThrow(/unreadable answer twice .*from 1 to 5/);
  });

  it.each([
    'Score: 4',
    '{"score": 4.5}',
    '{"score": "4"}',
    '{"score": 6}',
    '{"score": 4, "why": "x"}',
    '[4]',
    '',
  ])('repairs the unreadable answer %j once, telling what was wrong', async (bad) => {
    behave = (request) => (request.messages.length === 2 ? bad : '{"score": 4}');
    expect(await judge({ concurrency: 1 }).score([{ candidate: 'x', reference: 'y' }])).toEqual([4]);
    expect(requests).toHaveLength(4);
    expect(requests[1].messages.map((m) => m.role)).toEqual(['system', 'user', 'assistant', 'user']);
    expect(requests[1].messages[2].content).toBe(bad);
    expect(requests[1].messages[3].content).toMatch(/could not be read: .+score/);
  });

  it('keeps trying through 429, 500 and a cut connection', async () => {
    behave = (request, response, count) => {
      if (count === 1) response.setHeader('retry-after', '0');
      if (count === 1) return refuse(response, 429);
      if (count === 2) return refuse(response, 500);
      if (count === 3) {
        response.destroy();
        return undefined;
      }
      return grade(request);
    };
    const j = judge({ concurrency: 1 });
    expect(await j.score([{ candidate: 'same', reference: 'same' }])).toEqual([5]);
    expect(requests).toHaveLength(4);
    expect(j.usage.requests).toBe(1);
  });

  it('obeys Retry-After', async () => {
    behave = (request, response, count) => {
      if (count > 1) return grade(request);
      response.setHeader('retry-after', '0.2');
      return refuse(response, 503);
    };
    const start = performance.now();
    await judge().score([{ candidate: 'same', reference: 'same' }]);
    expect(performance.now() - start).toBeGreaterThan(190);
  });

  it('gives up after the retries with an error that says how to go on; a silent server runs into the timeout', async () => {
    behave = (_, response) => refuse(response, 503);
    const pair = [{ candidate: 'same', reference: 'same' }];
    await expect(judge({ retries: 2 }).score(pair)).rejects.toThrow(/no answer after 3 tries \(status 503\)/);
    expect(requests).toHaveLength(3);
    behave = () => undefined;
    const silent = judge({ retries: 0, timeoutMs: 50 }).score(pair);
    await expect(silent).rejects.toThrow(/1 tries \(.*timeout/);
    await expect(silent).rejects.toBeInstanceOf(CrosspatchError);
  });

  it('bad requests and foreign answers are not retried, and the key is never in a message', async () => {
    process.env[KEY_ENV] = 'secret-value';
    const pair = [{ candidate: 'same', reference: 'same' }];
    const cases: [number, string, RegExp][] = [
      [401, 'no', new RegExp(`refused with 401; check the key in ${KEY_ENV}`)],
      [404, 'no such model', /refused with 404: no such model/],
      [200, '<html>', /wanted JSON/],
      [200, '{"a":1}', /no chat completion; is the base URL right/],
    ];
    for (const [status, body, message] of cases) {
      requests = [];
      behave = (_, response) => refuse(response, status, body);
      const failing = judge({ apiKeyEnv: KEY_ENV }).score(pair);
      await expect(failing).rejects.toThrow(message);
      await expect(failing).rejects.toBeInstanceOf(InputError);
      await expect(failing).rejects.not.toThrow(/secret/);
      expect(requests).toHaveLength(1);
      expect(requests[0].authorization).toBe('Bearer secret-value');
    }
  });

  it('wants the key variable set when one is named', () => {
    expect(() => judge({ apiKeyEnv: KEY_ENV })).toThrow(new RegExp(`${KEY_ENV} is not set`));
  });

  it('never has more requests open than allowed, and stops on the signal', async () => {
    const pairs = Array.from({ length: 12 }, (_, i) => ({ candidate: `c${i}`, reference: `r${i}` }));
    let open = 0;
    let mostOpen = 0;
    behave = (request, response) => {
      mostOpen = Math.max(mostOpen, ++open);
      setTimeout(() => {
        open--;
        answer(response, grade(request));
      }, 20);
      return undefined;
    };
    await judge({ concurrency: 3 }).score(pairs);
    expect(requests).toHaveLength(24);
    expect(mostOpen).toBe(3);
    const controller = new AbortController();
    requests = [];
    behave = (request, _, count) => {
      if (count === 5) controller.abort();
      return grade(request);
    };
    await expect(judge({ signal: controller.signal, concurrency: 2 }).score(pairs)).rejects.toBeInstanceOf(
      AbortedError,
    );
    expect(requests.length).toBeLessThan(8);
  });
});
