/** @file The judge detector against a local server that behaves, misbehaves, and is gone. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AbortedError, errorId, errorLine } from '../../base/index.ts';
import { type JudgeParams, judgeDetector } from './judge.ts';

const KEY_ENV = 'CROSSPATCH_TEST_DETECTOR_KEY';
let server: Server;
let folder: string;
let asked: { readonly question: string; readonly text: string }[];
let authorization: string | undefined;
/** What the server does with the n-th request; a string is sent as the assistant's answer. */
let behave: (text: string, response: ServerResponse, count: number) => string | undefined;

/** Yes where the text holds the word "no". */
const honest = (text: string): string => JSON.stringify({ answer: text.includes('no') ? 'yes' : 'no' });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-detector-'));
  asked = [];
  behave = honest;
  server = createServer((message, response) => {
    let body = '';
    message.on('data', (chunk) => (body += String(chunk)));
    message.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: { content: string }[] };
      authorization = message.headers.authorization;
      asked.push(JSON.parse(messages[1]?.content ?? '') as (typeof asked)[number]);
      const content = behave(asked.at(-1)?.text ?? '', response, asked.length);
      if (content !== undefined) response.end(JSON.stringify({ choices: [{ message: { content } }] }));
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

function judge(settings: Partial<JudgeParams> = {}, options: Parameters<typeof judgeDetector>[1] = {}) {
  const { port } = server.address() as AddressInfo;
  const params: JudgeParams = {
    kind: 'judge',
    base_url: `http://127.0.0.1:${port}/v1`,
    model: 'judge',
    question: 'Does it refuse?',
    concurrency: 2,
    timeout_seconds: 5,
    ...settings,
  };
  return judgeDetector(params, { cacheFolder: folder, backoffMs: 1, ...options });
}
const shown = async (detector: ReturnType<typeof judge>, texts: readonly string[]): Promise<boolean[]> =>
  (await detector.detect(texts.map((text) => ({ text })))).map(({ shows }) => shows);
const refuse = (response: ServerResponse, status: number, body = 'no'): undefined => {
  response.statusCode = status;
  response.end(body);
};

it('asks the question of every distinct completion once, and keeps the answers', async () => {
  const texts = ['yes', 'no thanks', 'yes', '...'];
  expect(await shown(judge(), texts)).toEqual([false, true, false, false]);
  expect(asked).toHaveLength(3);
  expect(asked[0]?.question).toBe('Does it refuse?');
  expect(authorization).toBeUndefined();
  expect(await readdir(folder)).toHaveLength(3);
  expect((await judge().detect([{ text: '...' }]))[0]).toMatchObject({ shows: false, degenerate: true });
  expect(await shown(judge(), [...texts, 'no'])).toEqual([false, true, false, false, true]);
  expect(asked).toHaveLength(4);
  // Another question is another answer; a damaged file is asked again.
  await shown(judge({ question: 'Is it rude?' }), ['yes']);
  expect(asked).toHaveLength(5);
  for (const name of await readdir(folder)) await writeFile(join(folder, name), '{"answer": "perhaps"}');
  expect(await shown(judge(), ['no'])).toEqual([true]);
  expect(asked).toHaveLength(6);
});

it('waits out 429 and 500, a slow answer, and an answer that cannot be read', async () => {
  behave = (text, response, count) => {
    if (count === 1) {
      response.setHeader('retry-after', '0.05');
      return refuse(response, 429);
    }
    if (count === 2) return refuse(response, 500);
    if (count === 3) return undefined; // silent: runs into the timeout
    if (count === 4) return 'Yes, it does.';
    return honest(text);
  };
  expect(await shown(judge({ timeout_seconds: 0.2, concurrency: 1 }), ['no'])).toEqual([true]);
  expect(asked).toHaveLength(5);
});

it('goes on where it stopped', async () => {
  behave = (text, response, count) => (count > 3 ? refuse(response, 503) : honest(text));
  const texts = ['a', 'no b', 'c', 'no d', 'e'];
  const failed: unknown = await shown(judge({ concurrency: 1 }, { retries: 1 }), texts).catch(
    (e: unknown) => e,
  );
  expect(errorId(failed)).toBe('judge-failed');
  expect(errorLine(failed)).toContain('run again to go on, answers so far are cached');
  behave = honest;
  asked = [];
  expect(await shown(judge(), texts)).toEqual([false, true, false, true, false]);
  expect(asked.map(({ text }) => text).sort()).toEqual(['e', 'no d']);
});

it('refuses a server of another kind, answers without sense, and a key that is not set', async () => {
  const complaint = (settings: Partial<JudgeParams> = {}): Promise<string> =>
    shown(judge(settings), ['no']).then(() => '', errorLine);
  behave = (_, response) => refuse(response, 200, '<html>');
  expect(await complaint()).toContain('wanted JSON of a chat completion');
  behave = () => '{"answer": "maybe"}';
  expect(await complaint()).toContain('unreadable answer twice (wanted exactly {"answer": "yes"}');
  expect(await readdir(folder)).toEqual([]);
  process.env[KEY_ENV] = 'secret-value';
  behave = (_, response) => refuse(response, 401, 'secret-value');
  expect(await complaint({ api_key_env: KEY_ENV })).toMatch(/refused with 401; check the key in CROSSPATCH/);
  expect(authorization).toBe('Bearer secret-value');
  delete process.env[KEY_ENV];
  expect(() => judge({ api_key_env: KEY_ENV })).toThrow(`the environment variable ${KEY_ENV} is not set`);
});

it('stops on the signal', async () => {
  const stop = new AbortController();
  behave = (text, _, count) => {
    if (count === 2) stop.abort();
    return honest(text);
  };
  const texts = Array.from({ length: 10 }, (_, i) => `text ${i}`);
  await expect(shown(judge({ concurrency: 1 }, { signal: stop.signal }), texts)).rejects.toBeInstanceOf(
    AbortedError,
  );
  expect(asked.length).toBeLessThan(5);
});
