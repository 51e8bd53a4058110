/**
 * @file A server that speaks vLLM's forms (as version 0.32.0 was seen to): its completions are computed by a model of ours, so a test
 * knows what is right, and chooses how they go wrong.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LanguageModel } from '../../models/index.ts';

/** A request to `/v1/completions`. */
export interface CompletionRequest {
  readonly [setting: string]: unknown;
  readonly model: string;
  readonly prompt: readonly number[];
  readonly max_tokens: number;
  readonly stop_token_ids: readonly number[];
}

/** One choice of an answer, as vLLM 0.32.0 writes it. */
export interface ServedChoice {
  text: string;
  finish_reason: string;
  stop_reason: number | null;
  token_ids?: number[] | undefined;
  prompt_token_ids?: readonly number[] | undefined;
}

/** What a test does to an answer; a number is a status in its place, `cut` a broken connection, `silent` no answer at all. */
type Behaviour = (
  choice: ServedChoice,
  request: CompletionRequest,
  count: number,
) => ServedChoice | number | 'cut' | 'silent';

export interface VllmLike extends AsyncDisposable {
  readonly base_url: string;
  readonly requests: CompletionRequest[];
  readonly authorizations: (string | undefined)[];
  behave: Behaviour;
  /** What `/v1/models` says. */
  models: { id: string; owned_by: string; max_model_len: number }[];
  /** Undefined: the page is not there. */
  version: string | undefined;
  /** Most requests open at once so far. */
  mostOpen: number;
}

/** Serve `model` under the name `served`. */
export async function vllmLike(model: LanguageModel): Promise<VllmLike> {
  let open = 0;
  // One after another, as the model computes; who asked first is answered first.
  let last: Promise<unknown> = Promise.resolve();
  const made = new Map<string, Promise<ServedChoice>>();
  const completed = (request: CompletionRequest): Promise<ServedChoice> => {
    const key = JSON.stringify([request.prompt, request.max_tokens]);
    const known = made.get(key) ?? last.then(() => complete(model, request));
    last = known;
    made.set(key, known);
    return known;
  };
  const server = createServer((message, response) => {
    void answer(message, response);
  });
  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.url === '/v1/models') return send(response, 200, { object: 'list', data: like.models });
    if (message.url === '/version' && like.version !== undefined)
      return send(response, 200, { version: like.version });
    if (message.url !== '/v1/completions') return send(response, 404, { detail: 'Not Found' });
    let body = '';
    for await (const chunk of message) body += String(chunk);
    const request = JSON.parse(body) as CompletionRequest;
    like.requests.push(request);
    like.authorizations.push(message.headers.authorization);
    const count = like.requests.length;
    like.mostOpen = Math.max(like.mostOpen, ++open);
    const choice = like.behave(structuredClone(await completed(request)), request, count);
    open--;
    if (choice === 'silent') return;
    if (choice === 'cut') return void response.destroy();
    if (typeof choice === 'number')
      return send(response, choice, { error: { message: 'as the test wants', code: choice } });
    const usage = { prompt_tokens: request.prompt.length, completion_tokens: choice.token_ids?.length ?? 0 };
    send(response, 200, {
      object: 'text_completion',
      model: request.model,
      choices: [{ index: 0, ...choice }],
      usage,
    });
  }
  const like: VllmLike = {
    base_url: '',
    requests: [],
    authorizations: [],
    behave: (choice) => choice,
    models: [{ id: 'served', owned_by: 'vllm', max_model_len: 256 }],
    version: '0.32.0',
    mostOpen: 0,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(like, { base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` });
}

/** Greedy, the stop token among the ids, as vLLM gives them. */
async function complete(model: LanguageModel, request: CompletionRequest): Promise<ServedChoice> {
  const { prompt, max_tokens: maxNewTokens, stop_token_ids: stopTokens } = request;
  const { ids, text, finishReason } = await model.generate(prompt, { maxNewTokens, stopTokens });
  const stopped = finishReason === 'stop';
  return {
    text,
    finish_reason: finishReason,
    stop_reason: null,
    token_ids: stopped ? [...ids, stopTokens[0] as number] : [...ids],
    prompt_token_ids: prompt,
  };
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.statusCode = status;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}
