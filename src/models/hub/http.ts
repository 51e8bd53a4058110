/** @file HTTP as the hub needs it: redirects by hand, the token only for its own origin, retries, stall detection. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortedError,
  CrosspatchError,
  InputError,
  parseJson,
  showText,
  throwIfAborted,
} from '../../base/index.ts';

/** How to talk to the hub. */
export interface HubConnection {
  /** Origin and base path, no final slash. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** First pause before a retry, milliseconds; doubles each time. */
  readonly retryDelayMs: number;
  /** Tries in all. */
  readonly attempts: number;
  /** Give up a connection that is silent for this long, milliseconds. */
  readonly stallMs: number;
}

/** Something that may pass: a cut connection, a busy server. Caught by {@link withRetries}. */
export class TransientError extends CrosspatchError {
  /** What the server asked for in `Retry-After`, milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message, { id: 'hub-unreachable', cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

/**
 * The connection's address and token, checked: neither may end in a message, as an error of `fetch` would do.
 *
 * @throws InputError
 */
export function checkedAddress(
  endpoint: string,
  token: string | undefined,
): { endpoint: string; token?: string } {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new InputError(
      'hub: the endpoint ($HF_ENDPOINT): wanted an http or https address without user or password; correct it',
      { id: 'hub-unreachable' },
    );
  const bare = token?.trim();
  if (bare !== undefined && !/^[\x21-\x7e]+$/.test(bare))
    throw new InputError('hub: the token ($HF_TOKEN) has characters that no token has; copy it again', {
      id: 'hub-answer',
    });
  return { endpoint: endpoint.replace(/\/+$/, ''), token: bare };
}

const MAX_REDIRECTS = 8;
/** No server is waited for longer than this, whatever it asks. */
const MAX_PAUSE_MS = 60_000;

/**
 * Run `attempt` until it does not throw `TransientError`, at most `attempts` times, with pauses of
 * `retryDelayMs · 2ⁿ` or what the server asks for. `progressed()` says whether the last try got further; then the
 * count starts again, so that a long download survives any number of cuts.
 */
export async function withRetries<T>(
  connection: HubConnection,
  attempt: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  for (let n = 0; ; n++) {
    throwIfAborted(connection.signal, 'hub');
    try {
      return await attempt();
    } catch (error) {
      if (connection.signal?.aborted) throw new AbortedError('hub');
      if (!(error instanceof TransientError)) throw error;
      if (progressed()) n = 0;
      if (n + 1 >= connection.attempts)
        throw new CrosspatchError(
          `${error.message} (${connection.attempts} times); try again later, what came is kept`,
          { id: 'hub-unreachable', cause: error.cause },
        );
      const pause = Math.min(MAX_PAUSE_MS, error.retryAfterMs ?? connection.retryDelayMs * 2 ** n);
      await sleep(pause, undefined, { signal: connection.signal }).catch(() => {});
    }
  }
}

/**
 * One request, following redirects. The token goes to the endpoint's origin only. With `stopAtChecksum` a redirect
 * that carries a checksum is returned, not followed: so the hub answers HEAD of a large file.
 *
 * @throws InputError for 401, 403, 404; TransientError for 408, 429, 5xx and broken connections
 */
export async function request(
  connection: HubConnection,
  url: string,
  init: { method?: 'GET' | 'HEAD'; headers?: Record<string, string>; stopAtChecksum?: boolean } = {},
): Promise<Response> {
  const home = new URL(connection.endpoint).origin;
  let at = new URL(url);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const headers: Record<string, string> = {
      'accept-encoding': 'identity',
      'user-agent': 'crosspatch',
      ...init.headers,
    };
    if (connection.token !== undefined && at.origin === home)
      headers.authorization = `Bearer ${connection.token}`;
    const response = await send(connection, at, { method: init.method ?? 'GET', headers });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) {
      await refuseBadStatus(response, at, connection.token !== undefined);
      return response;
    }
    const next = redirected(location, at);
    if (init.stopAtChecksum === true && response.headers.has('x-linked-etag')) return response;
    await response.body?.cancel();
    at = next;
  }
  throw new CrosspatchError(
    `${url}: wanted an answer, got more than ${MAX_REDIRECTS} redirects; check the endpoint`,
    { id: 'hub-answer' },
  );
}

/** Where a redirect leads: over HTTP, and from HTTPS to HTTPS only. */
function redirected(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  const fine = next?.protocol === 'https:' || (next?.protocol === 'http:' && from.protocol === 'http:');
  if (next === undefined || !fine)
    throw new CrosspatchError(
      `${withoutQuery(from)}: wanted a redirect over ${from.protocol === 'https:' ? 'https' : 'http or https'}, got ${next === undefined ? 'no address' : `one to ${showText(next.protocol)}`}; check the endpoint`,
      { id: 'hub-answer' },
    );
  return next;
}

/** An address for a message: query and user are left out, they may hold signatures and passwords. */
function withoutQuery(url: URL): string {
  return showText(`${url.origin}${url.pathname}`, 300);
}

async function send(connection: HubConnection, url: URL, init: RequestInit): Promise<Response> {
  const stall = AbortSignal.timeout(connection.stallMs);
  const timer = new AbortController();
  const signals = [timer.signal, ...(connection.signal === undefined ? [] : [connection.signal])];
  const onStall = (): void => timer.abort(stall.reason);
  stall.addEventListener('abort', onStall, { once: true });
  try {
    return await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.any(signals) });
  } catch (error) {
    throw new TransientError(`${withoutQuery(url)}: the connection failed`, { cause: error });
  } finally {
    stall.removeEventListener('abort', onStall); // the answer has begun; its body is watched by readChunks
  }
}

async function refuseBadStatus(response: Response, url: URL, hasToken: boolean): Promise<void> {
  const { status } = response;
  if (status < 400 || status === 416) return;
  await response.body?.cancel();
  const code = showText(response.headers.get('x-error-code') ?? '');
  const where = withoutQuery(url);
  if (status === 404 || /RepoNotFound|RevisionNotFound|EntryNotFound/.test(code))
    throw new InputError(
      `${where}: wanted a model, revision and file that exist, got ${status} ${code}`.trimEnd() +
        `; check the name${hasToken ? '' : ', and set HF_TOKEN if it is private'}`,
      { id: 'hub-not-found' },
    );
  if (status === 401 || status === 403)
    throw new InputError(
      `${where}: wanted access, got ${status} ${code}`.trimEnd() +
        (hasToken
          ? '; accept the licence on the model’s page, or use a token that may read it'
          : code === 'GatedRepo'
            ? '; accept the licence on the model’s page, then set HF_TOKEN to a token of that account, or log in with hf auth login'
            : '; set HF_TOKEN to a token that may read it'),
      { id: 'hub-refused' },
    );
  if (status === 408 || status === 429 || status >= 500)
    throw new TransientError(`${where}: the server answered ${status}`, {
      retryAfterMs: retryAfter(response.headers.get('retry-after')),
    });
  throw new CrosspatchError(`${where}: wanted an answer, got status ${status}; check the endpoint`, {
    id: 'hub-answer',
  });
}

/** `Retry-After` in seconds, as milliseconds. */
function retryAfter(header: string | null): number | undefined {
  const seconds = Number(header ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** The body in chunks; a silent or cut connection becomes `TransientError`. */
export async function* readChunks(
  connection: HubConnection,
  response: Response,
  where: string,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const chunk = await nextChunk(reader, connection.stallMs, where);
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function nextChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  stallMs: number,
  where: string,
): Promise<Uint8Array | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const stalled = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`silent for ${stallMs} ms`)), stallMs);
  });
  try {
    const { done, value } = await Promise.race([reader.read(), stalled]);
    return done ? undefined : value;
  } catch (error) {
    throw new TransientError(`${where}: the connection was cut`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** The whole body as JSON, at most 32 MB. */
export async function readJson(
  connection: HubConnection,
  response: Response,
  where: string,
): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of readChunks(connection, response, where)) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 32e6)
      throw new CrosspatchError(`${where}: wanted a short JSON answer, got over 32 MB; check the endpoint`, {
        id: 'hub-answer',
      });
  }
  try {
    return parseJson(Buffer.concat(chunks), where);
  } catch (error) {
    throw new CrosspatchError(`${where}: wanted JSON, got something else; check the endpoint`, {
      id: 'hub-answer',
      cause: error,
    });
  }
}
