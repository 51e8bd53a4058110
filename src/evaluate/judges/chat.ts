/** @file A chat-completion request to any OpenAI-compatible server: timeout, retries with backoff, token counts. */
import { z } from 'zod';
import { CrosspatchError, errorLine, InputError, throwIfAborted } from '../../base/index.ts';

/** One message of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Where to ask, and how patiently. */
export interface ChatEndpoint {
  /** Up to and with the version, e.g. `http://127.0.0.1:8080/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  /** Bearer token, when the server wants one. Never logged, cached or put in a message. */
  readonly apiKey?: string | undefined;
  /** Name of the variable the key came from, for messages. */
  readonly apiKeyEnv?: string | undefined;
  /** Most tokens of an answer. Defaults to 64. */
  readonly maxTokens?: number | undefined;
  /** Time allowed to one request, milliseconds. Defaults to 60 000. */
  readonly timeoutMs?: number | undefined;
  /** Tries again after a network error, a timeout, 408, 429 or 5xx. Defaults to 5. */
  readonly retries?: number | undefined;
  /** First pause, milliseconds, doubled each time up to a minute; a longer `Retry-After` is obeyed. Defaults to 500. */
  readonly backoffMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a server answered. Token counts are 0 where it gives none. */
export interface ChatAnswer {
  readonly content: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const LONGEST_PAUSE_MS = 60_000;

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z
    .object({
      prompt_tokens: z.number().nullish(),
      completion_tokens: z.number().nullish(),
    })
    .nullish(),
});

/** Ask once, at temperature 0. Throws {@link InputError} when the server refuses the request, {@link CrosspatchError} when it stays out of reach. */
export async function chat(endpoint: ChatEndpoint, messages: readonly ChatMessage[]): Promise<ChatAnswer> {
  const { retries = 5, backoffMs = 500, signal } = endpoint;
  const where = `judge ${endpoint.model} at ${endpoint.baseUrl}`;
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal, where);
    const outcome = await attemptOnce(endpoint, messages, where);
    if ('answer' in outcome) return outcome.answer;
    throwIfAborted(signal, where);
    if (attempt >= retries)
      throw new CrosspatchError(
        `${where}: no answer after ${attempt + 1} tries (${outcome.problem}); run again to go on, answers so far are cached`,
        { id: 'judge-failed' },
      );
    await pause(Math.min(LONGEST_PAUSE_MS, Math.max(outcome.waitMs, backoffMs * 2 ** attempt)), signal);
  }
}

type Outcome = { readonly answer: ChatAnswer } | { readonly problem: string; readonly waitMs: number };

async function attemptOnce(
  endpoint: ChatEndpoint,
  messages: readonly ChatMessage[],
  where: string,
): Promise<Outcome> {
  const deadline = AbortSignal.timeout(endpoint.timeoutMs ?? 60_000);
  let status: number;
  let body: string;
  let retryAfter: string | null;
  try {
    const response = await fetch(`${endpoint.baseUrl.replace(/\/+$/, '')}/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(endpoint.apiKey === undefined ? {} : { authorization: `Bearer ${endpoint.apiKey}` }),
      },
      body: JSON.stringify({
        model: endpoint.model,
        messages,
        temperature: 0,
        max_tokens: endpoint.maxTokens ?? 64,
      }),
      signal: endpoint.signal ? AbortSignal.any([deadline, endpoint.signal]) : deadline,
    });
    status = response.status;
    retryAfter = response.headers.get('retry-after');
    body = await response.text();
  } catch (error) {
    return { problem: errorLine(error), waitMs: 0 };
  }
  if (status === 408 || status === 429 || status >= 500)
    return { problem: `status ${status}`, waitMs: retryAfterMs(retryAfter) };
  if (status === 401 || status === 403)
    throw new InputError(
      `${where}: refused with ${status}; check the key in ${endpoint.apiKeyEnv ?? 'api_key_env (none is set)'}`,
      { id: 'judge-failed' },
    );
  if (status !== 200)
    throw new InputError(`${where}: refused with ${status}: ${body.slice(0, 200).replace(/\s+/g, ' ')}`, {
      id: 'judge-failed',
    });
  return { answer: readAnswer(body, where) };
}

function readAnswer(body: string, where: string): ChatAnswer {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new InputError(
      `${where}: wanted JSON of a chat completion, got ${JSON.stringify(body.slice(0, 80))}`,
      { id: 'judge-failed', cause },
    );
  }
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success)
    throw new InputError(`${where}: this is no chat completion; is the base URL right (it ends in /v1)?`, {
      id: 'judge-failed',
    });
  const { choices, usage } = parsed.data;
  return {
    content: choices[0].message.content,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
  };
}

/** `Retry-After` in seconds or as a date; 0 when absent or unreadable. */
function retryAfterMs(header: string | null): number {
  if (header === null) return 0;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}

/** Sleep, cut short by the signal (whose firing the caller checks). */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
