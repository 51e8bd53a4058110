/** @file A request to any OpenAI-compatible server: timeout, retries with backoff, refusals as one clear line. Judges and served models ask through it. */
import { CrosspatchError, type ErrorId, errorLine, InputError, throwIfAborted } from '../../base/index.ts';

/** Where to ask, and how patiently. */
export interface Endpoint {
  /** Up to and with the version, e.g. `http://127.0.0.1:8080/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  /** Bearer token, when the server wants one. Never logged, cached or put in a message. */
  readonly apiKey?: string | undefined;
  /** Name of the variable the key came from, for messages. */
  readonly apiKeyEnv?: string | undefined;
  /** Time allowed to one request, milliseconds. Defaults to 60 000. */
  readonly timeoutMs?: number | undefined;
  /** Tries again after a network error, a timeout, 408, 429 or 5xx. Defaults to 5. */
  readonly retries?: number | undefined;
  /** First pause, milliseconds, doubled each time up to a minute; a longer `Retry-After` is obeyed. Defaults to 500. */
  readonly backoffMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is asked, and how its errors begin. */
export interface EndpointRequest {
  /** From the base URL on: `/chat/completions`; with a leading `..` beside the version: `../version`. */
  readonly path: string;
  /** Sent as JSON by POST; without it the request is a GET. */
  readonly body?: unknown;
  /** Who is asked, for messages: `judge NAME at URL`. */
  readonly where: string;
  readonly id: ErrorId;
  /** The form of an answer, in words: `a chat completion`. */
  readonly wanted: string;
}

const LONGEST_PAUSE_MS = 60_000;

/** The JSON of the answer. Throws {@link InputError} when the server refuses the request, {@link CrosspatchError} when it stays out of reach. */
export async function askEndpoint(endpoint: Endpoint, request: EndpointRequest): Promise<unknown> {
  const { retries = 5, backoffMs = 500, signal } = endpoint;
  const { where, id } = request;
  for (let attempt = 0; ; attempt++) {
    throwIfAborted(signal, where);
    const outcome = await attemptOnce(endpoint, request);
    if ('answer' in outcome) return outcome.answer;
    throwIfAborted(signal, where);
    if (attempt >= retries)
      throw new CrosspatchError(
        `${where}: no answer after ${attempt + 1} tries (${outcome.problem}); run again to go on, answers so far are cached`,
        { id },
      );
    await pause(Math.min(LONGEST_PAUSE_MS, Math.max(outcome.waitMs, backoffMs * 2 ** attempt)), signal);
  }
}

type Outcome = { readonly answer: unknown } | { readonly problem: string; readonly waitMs: number };

async function attemptOnce(
  { baseUrl, apiKey, apiKeyEnv, timeoutMs = 60_000, signal }: Endpoint,
  { path, body, where, id, wanted }: EndpointRequest,
): Promise<Outcome> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const headers = new Headers();
  if (body !== undefined) headers.set('content-type', 'application/json');
  if (apiKey !== undefined) headers.set('authorization', `Bearer ${apiKey}`);
  let status: number;
  let text: string;
  let retryAfter: string | null;
  try {
    const response = await fetch(addressOf(baseUrl, path), {
      method: body === undefined ? 'GET' : 'POST',
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([deadline, signal]) : deadline,
    });
    status = response.status;
    retryAfter = response.headers.get('retry-after');
    text = await response.text();
  } catch (error) {
    return { problem: errorLine(error), waitMs: 0 };
  }
  if (status === 408 || status === 429 || status >= 500)
    return { problem: `status ${status}`, waitMs: retryAfterMs(retryAfter) };
  if (status === 401 || status === 403)
    throw new InputError(
      `${where}: refused with ${status}; check the key in ${apiKeyEnv ?? 'api_key_env (none is set)'}`,
      { id },
    );
  if (status !== 200)
    throw new InputError(`${where}: refused with ${status}: ${text.slice(0, 200).replace(/\s+/g, ' ')}`, {
      id,
    });
  try {
    return { answer: JSON.parse(text) };
  } catch (cause) {
    throw new InputError(`${where}: wanted JSON of ${wanted}, got ${JSON.stringify(text.slice(0, 80))}`, {
      id,
      cause,
    });
  }
}

/** `http://host/v1` and `/models` or `../version`. */
function addressOf(baseUrl: string, path: string): string {
  const base = baseUrl.replace(/\/+$/, '');
  return path.startsWith('../') ? `${base.replace(/\/[^/]*$/, '')}${path.slice(2)}` : base + path;
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
