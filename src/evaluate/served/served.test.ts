/** @file Generation by a server in vLLM's forms: what is right is taken, and whatever is wrong with it is noticed. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { AbortedError, CrosspatchError, errorId, InputError } from '../../base/index.ts';
import type { EngineParams } from '../../contracts/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { decodePatched } from '../drafts/decode.ts';
import { agreementWith, completeOffered } from '../drafts/offered.ts';
import { ServedGenerator } from './generator.ts';
import { type VllmLike, vllmLike } from './server.helper.ts';
import { openServed } from './server.ts';

let folder: string;
let model: LanguageModel;
let other: LanguageModel;
let server: VllmLike;
let prompts: number[][];
const rules = () => ({ maxNewTokens: 10, stopTokens: model.tokenizer.eosIds });
const own = () => decodePatched(model.decoder, prompts, [], rules());

beforeAll(async () => {
  model = await LanguageModel.load('tiny-llama-s');
  other = await LanguageModel.load('tiny-llama-m');
  // The bundled models go on with a story, each with its own.
  prompts = [
    'one plus two',
    'the opposite of hot',
    'Spell the word cat.',
    'What colour is the sky? The',
    'Which day comes after Saturday?',
    'What is the capital of France?',
  ].map((text) => model.tokenizer.encodeIds(text));
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-served-'));
  vi.stubEnv('CROSSPATCH_CACHE', folder);
  server = await vllmLike(model);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function params(changed: Partial<EngineParams> = {}): EngineParams {
  return {
    base_url: server.base_url,
    model: 'served',
    concurrency: 3,
    timeout_seconds: 30,
    check: { prompts: 2, agreement: 0.9 },
    server: { kind: 'vllm', version: '0.32.0' },
    ...changed,
  };
}

const open = (changed: Partial<EngineParams> = {}, signal?: AbortSignal): Promise<ServedGenerator> =>
  ServedGenerator.open(params(changed), { model, modelKey: 'ours', batch: 4, backoffMs: 1, signal });

it('gives what our own engine gives, and asks with token ids, greedily, whatever the model’s own settings are', async () => {
  const generator = await open();
  const expected = (await own()).map(({ ids, finish }) => ({ ids, finish }));
  expect(new Set(expected.map(({ finish }) => finish))).toContain('stop');
  expect(await generator.propose(prompts, rules())).toEqual(expected);
  const tokens = expected.slice(0, 2).reduce((n, e) => n + e.ids.length + (e.finish === 'stop' ? 1 : 0), 0);
  expect(generator.record).toEqual({
    model: 'served',
    kind: 'vllm',
    version: '0.32.0',
    completions: 6,
    checked: { completions: 2, equal: 2, tokens, agreed: tokens },
    verified: undefined,
  });
  expect(server.requests.map(({ prompt }) => prompt)).toEqual(expect.arrayContaining(prompts));
  expect(server.requests[0]).toMatchObject({
    temperature: 0,
    top_p: 1,
    top_k: 0,
    repetition_penalty: 1,
    stop_token_ids: model.tokenizer.eosIds,
    return_token_ids: true,
    max_tokens: 10,
  });
  expect(server.mostOpen).toBeGreaterThan(1);
  expect(server.mostOpen).toBeLessThanOrEqual(3);
});

it('verified completions are our own whatever the server said: nearly right, cut short, ended early', async () => {
  server.behave = (choice, _, count) => {
    if (count <= 2) return choice;
    const ids = choice.token_ids as number[];
    // A server that is not deterministic: another token in the middle of every second completion.
    if (count % 2 === 0 && ids.length > 3) ids[2] = (ids[2] as number) === 40 ? 41 : 40;
    choice.text = model.tokenizer.decode(ids, { skipSpecialTokens: true });
    return choice;
  };
  const generator = await open();
  const expected = (await own()).map(({ ids, finish }) => ({ ids, finish }));
  const found = await generator.complete(prompts, rules());
  expect(found.map(({ ids, finish }) => ({ ids, finish }))).toEqual(expected);
  const { verified = 0 } = generator.record;
  expect(verified).toBeLessThan(6);
  expect(verified).toBeGreaterThanOrEqual(2);
  const wild = expected.map((_, i) => ({ ids: [7, 7, 7].slice(i % 4), finish: 'stop' as const }));
  const rows = prompts.map((prompt, i) => ({ prompt, draft: wild[i] as (typeof wild)[0] }));
  const ends = await completeOffered(model.decoder, rows, { ...rules(), batch: 2 });
  expect(ends.map(({ ids, finish }) => ({ ids, finish }))).toEqual(expected);
});

it('agreement counts every token given those before it, the end too', async () => {
  const [draft] = await own();
  const ids = [...(draft?.ids ?? [])];
  const of = async (changed: { ids: number[]; finish: 'stop' | 'length' }) =>
    agreementWith(model.decoder, [{ prompt: prompts[0] as number[], draft: changed }], rules());
  const finish = draft?.finish ?? 'stop';
  const n = ids.length + (finish === 'stop' ? 1 : 0);
  expect(await of({ ids, finish })).toEqual({ completions: 1, equal: 1, tokens: n, agreed: n });
  const wrong = await of({ ids: [9999 % model.tokenizer.vocabSize, ...ids.slice(1)], finish });
  expect(wrong.equal).toBe(0);
  expect(wrong.agreed).toBeLessThan(n);
  // Its beginning is ours, that it ended there is not.
  expect(await of({ ids: ids.slice(0, 1), finish: 'stop' })).toMatchObject({
    equal: 0,
    tokens: 2,
    agreed: 1,
  });
});

it('another model is refused after the first prompts, in one line that says what to do', async () => {
  await server[Symbol.asyncDispose]();
  server = await vllmLike(other);
  const generator = await open();
  const failed = await generator.propose(prompts, rules()).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(InputError);
  expect(errorId(failed)).toBe('engine-failed');
  expect((failed as Error).message).toMatch(
    /^engine served at http:\S+: of its first 2 completions 0 are our own, of their \d+ tokens \d+ \(\d+ %, wanted 90 %\); it serves another model.*check\.agreement$/,
  );
  expect(server.requests).toHaveLength(2);
});

it.each<[string, Parameters<typeof wrong>[0], RegExp]>([
  [
    'another tokenizer',
    (c) => ({ ...c, text: `${c.text} zebra` }),
    /its text of tokens .* another tokenizer is served/,
  ],
  [
    'a token that is none',
    (c) => ({ ...c, token_ids: [1_000_000, ...(c.token_ids ?? []).slice(1)] }),
    /token 1000000 is not one of/,
  ],
  [
    'other prompt tokens',
    (c) => ({ ...c, prompt_token_ids: [1, ...(c.prompt_token_ids ?? [])] }),
    /it read \d+ tokens of a prompt of \d+, or others/,
  ],
  [
    'a cut completion',
    (c) => ({ ...c, finish_reason: 'length', token_ids: c.token_ids?.slice(0, 3) ?? [] }),
    /cut a completion after 3 tokens, 10 were asked for/,
  ],
  [
    'another end',
    (c) => ({ ...c, finish_reason: 'stop', token_ids: [...(c.token_ids ?? []).slice(0, 2), 9] }),
    /ended a completion at token 9, which ends none here.*--generation-config vllm/,
  ],
  ['an abort', (c) => ({ ...c, finish_reason: 'abort' }), /ended by stop or length, got abort/],
  ['a refusal', () => 400, /refused with 400: .*as the test wants/],
  ['a key', () => 401, /refused with 401; check the key in api_key_env/],
])('refuses %s', async (_, behave, message) => {
  await wrong(behave, message);
});

async function wrong(behave: VllmLike['behave'], message: RegExp): Promise<void> {
  server.behave = behave;
  const failing = (await open()).propose(prompts, rules());
  await expect(failing).rejects.toThrow(message);
  await expect(failing).rejects.toBeInstanceOf(InputError);
}

it('an older version, which gives no token ids, is read by its text', async () => {
  server.behave = (choice) => ({ ...choice, token_ids: undefined, prompt_token_ids: undefined });
  const generator = await open();
  const expected = (await own()).map(({ ids }) => ids);
  expect((await generator.complete(prompts, rules())).map(({ ids }) => ids)).toEqual(expected);
});

it('goes on through 500, 429 and a cut connection, gives up in the end, and asks only for what is missing then', async () => {
  server.behave = (choice, _, count) =>
    count === 1 ? 500 : count === 2 ? 429 : count === 3 ? 'cut' : choice;
  await (await open()).propose(prompts.slice(0, 3), rules());
  expect(server.requests).toHaveLength(6);
  const [kept] = await readdir(join(folder, 'engine'));
  expect(await readdir(join(folder, 'engine', kept as string))).toHaveLength(3);
  server.behave = () => 503;
  server.requests.length = 0;
  const failed = await (await open()).propose(prompts, rules()).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(CrosspatchError);
  expect((failed as Error).message).toMatch(/no answer after 6 tries \(status 503\); run again to go on/);
  server.behave = (choice) => choice;
  server.requests.length = 0;
  const expected = (await own()).map(({ ids, finish }) => ({ ids, finish }));
  expect(await (await open()).propose(prompts, rules())).toEqual(expected);
  expect(server.requests).toHaveLength(3);
  // Completions of another model of ours are not taken for this one's.
  const elsewhere = await ServedGenerator.open(params(), { model, modelKey: 'other', batch: 4 });
  server.requests.length = 0;
  await elsewhere.propose(prompts, rules());
  expect(server.requests).toHaveLength(6);
});

it('a slow server runs into the time allowed, and an abort ends it', async () => {
  server.behave = () => 'silent';
  const slow = await open({ timeout_seconds: 0.1 });
  await expect(slow.propose(prompts, rules())).rejects.toThrow(/no answer after 6 tries \(.*timeout/);
  const stop = new AbortController();
  const stopped = await open({}, stop.signal);
  server.behave = (choice) => {
    stop.abort();
    return choice;
  };
  await expect(stopped.propose(prompts, rules())).rejects.toBeInstanceOf(AbortedError);
});

it('says before anything runs what the server is, and what is wrong with it', async () => {
  expect((await openServed(params())).server).toEqual({ kind: 'vllm', version: '0.32.0' });
  server.version = undefined;
  expect((await openServed(params())).server).toEqual({ kind: 'vllm', version: undefined });
  await expect(openServed(params({ model: 'mine' }))).rejects.toThrow(
    /engine mine at \S+: the server has served; name one of them, or start it with --served-model-name mine/,
  );
  await expect(openServed(params({ base_url: server.base_url.replace('/v1', '/v2') }))).rejects.toThrow(
    /refused with 404/,
  );
  await expect(openServed(params({ api_key_env: 'CROSSPATCH_TEST_NO_KEY' }))).rejects.toThrow(
    /CROSSPATCH_TEST_NO_KEY is not set/,
  );
  vi.stubEnv('CROSSPATCH_TEST_KEY', 'secret');
  const keyed = await open({ api_key_env: 'CROSSPATCH_TEST_KEY' });
  await keyed.propose(prompts.slice(0, 1), rules());
  expect(server.authorizations).toEqual(['Bearer secret']);
  server.models = [{ id: 'served', owned_by: 'vllm', max_model_len: 16 }];
  await expect((await open()).propose(prompts.slice(1), rules())).rejects.toThrow(
    /a prompt of \d+ tokens and 10 new ones are more than its 16; start it with a larger --max-model-len/,
  );
  const { base_url } = server;
  await server[Symbol.asyncDispose]();
  await expect(openServed(params({ base_url }), { backoffMs: 1 })).rejects.toThrow(/no answer after 2 tries/);
});
