/** @file Asking the server: JSON by hook, events by hook, and one place that knows whether the server knows us. */
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { ApiError } from '../server/index.ts';

/** `refused`: no token or an old one; `lost`: nobody answers. */
export type Link = 'fine' | 'refused' | 'lost';

let link: Link = 'fine';
let round = 0;
let probing = false;
const listeners = new Set<() => void>();
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const tell = () => {
  for (const listener of listeners) listener();
};

/** How things stand with the server. */
export function useLink(): Link {
  return useSyncExternalStore(subscribe, () => link);
}

function setLink(next: Link): void {
  if (next === link) return;
  if (next === 'fine') round++;
  link = next;
  if (next !== 'fine') void probe();
  tell();
}

/** Ask until the server answers and knows us; every hook then asks anew. */
async function probe(): Promise<void> {
  if (probing) return;
  probing = true;
  while (link !== 'fine') {
    await new Promise((resolve) => setTimeout(resolve, 700));
    await ask('/api/session').catch(() => undefined);
  }
  probing = false;
}

/** What a failed request said. */
export class AskError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The response of the server; throws {@link AskError} for anything but 2xx. */
export async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'AbortError')) setLink('lost');
    throw error;
  }
  setLink(response.status === 401 ? 'refused' : 'fine');
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as Partial<ApiError>;
  throw new AskError(response.status, body.error ?? `the server answered ${response.status}`);
}

export async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  return (await request(path, init)).json() as Promise<T>;
}

/** JSON to the server. */
export function send<T>(method: 'POST' | 'PUT', path: string, body: unknown): Promise<T> {
  return ask<T>(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** What `path` says: `data` stays while the next answer is under way. `path` undefined = nothing is asked. */
export function useAsk<T>(
  path: string | undefined,
  again = 0,
): { readonly data: T | undefined; readonly error: string | undefined; readonly busy: boolean } {
  const turn = useSyncExternalStore(subscribe, () => round);
  const [state, setState] = useState<{ path?: string; data?: T; error?: string; busy: boolean }>({
    busy: true,
  });
  useEffect(() => {
    void again;
    void turn;
    if (path === undefined) {
      setState({ busy: false });
      return;
    }
    const stop = new AbortController();
    setState((before) => ({ ...(before.path === path ? before : {}), ...before, busy: true }));
    ask<T>(path, { signal: stop.signal }).then(
      (data) => {
        // An answer that came as the question was taken back must not stand over the next one's.
        if (!stop.signal.aborted) setState({ path, data, busy: false });
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        setState((before) =>
          error instanceof AskError
            ? { path, error: error.message, busy: false }
            : { ...before, busy: false },
        );
      },
    );
    return () => stop.abort();
  }, [path, again, turn]);
  return { data: state.data, error: state.error, busy: state.busy };
}

/** Listen to server-sent events as long as the component lives; goes on where it was after a cut or a restart of the server. */
export function useEvents(path: string, onEvent: (name: string, data: unknown) => void): boolean {
  const turn = useSyncExternalStore(subscribe, () => round);
  const last = useRef('0');
  const handler = useRef(onEvent);
  handler.current = onEvent;
  const [connected, setConnected] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another path is another log
  useEffect(() => {
    last.current = '0';
  }, [path]);
  useEffect(() => {
    void turn;
    const source = new EventSource(`${path}?from=${last.current}`);
    for (const name of ['manifest', 'log', 'reset', 'live', 'results'])
      source.addEventListener(name, (event) => {
        if (event.lastEventId) last.current = event.lastEventId;
        handler.current(name, JSON.parse(event.data));
      });
    source.onopen = () => setConnected(true);
    source.onerror = () => {
      setConnected(false);
      // The source does not say why: asking does. A refusal closes it for good; when the server knows us again it starts anew.
      ask('/api/session').catch(() => undefined);
    };
    return () => source.close();
  }, [path, turn]);
  return connected;
}
