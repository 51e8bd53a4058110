/** @file Asking the server: JSON by hook, events by hook, and one place that knows whether the server knows us. */
import { type ClientResponse, hc, type InferResponseType } from 'hono/client';
import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { ViewApi } from '../server/index.ts';

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

/** Ask until the server answers and knows us; every hook then asks again. */
async function probe(): Promise<void> {
  if (probing) return;
  probing = true;
  while (link !== 'fine') {
    await new Promise((resolve) => setTimeout(resolve, 700));
    await api.session.$get().catch(() => undefined);
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

/** Asks; throws {@link AskError} for anything but 2xx. */
async function checked(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(input, init);
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'AbortError')) setLink('lost');
    throw error;
  }
  setLink(response.status === 401 ? 'refused' : 'fine');
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: string };
  throw new AskError(response.status, body.error ?? `the server answered ${response.status}`);
}

/** Every address of the server with its types: `api.runs[':run'].results.$get(ofRun('demo'))`. */
export const api = hc<ViewApi>(new URL('/api', location.origin).href, { fetch: checked });

/** Arguments of an address of one run. */
export function ofRun(run: string): { readonly param: { run: string } } {
  return { param: { run: encodeURIComponent(run) } };
}

/** Arguments of an address of one fleet. */
export function ofFleet(fleet: string): { readonly param: { fleet: string } } {
  return { param: { fleet: encodeURIComponent(fleet) } };
}

/** An address that answers JSON, of any arguments: the caller's are checked against the endpoint's own. */
interface Endpoint {
  $get: (args: never, options?: { init?: RequestInit }) => Promise<ClientResponse<unknown>>;
  $url: (args?: never) => URL;
}
type ArgsOf<E extends Endpoint> = Exclude<Parameters<E['$get']>[0], undefined>;

/** What `endpoint` says: `data` stays while the next answer is under way. Without `args` nothing is asked. */
export function useAsk<E extends Endpoint>(
  endpoint: E,
  args: ArgsOf<E> | undefined,
  again = 0,
): {
  readonly data: InferResponseType<E['$get']> | undefined;
  readonly error: string | undefined;
  readonly busy: boolean;
} {
  type Answer = InferResponseType<E['$get']>;
  const turn = useSyncExternalStore(subscribe, () => round);
  const [state, setState] = useState<{ path?: string; data?: Answer; error?: string; busy: boolean }>({
    busy: true,
  });
  const path = args === undefined ? undefined : endpoint.$url(args as never).href;
  const latest = useRef({ endpoint, args });
  latest.current = { endpoint, args };
  useEffect(() => {
    void again;
    void turn;
    if (path === undefined) {
      setState({ busy: false });
      return;
    }
    const stop = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    const answer = async () => {
      const asked = latest.current;
      return (await asked.endpoint.$get(asked.args as never, { init: { signal: stop.signal } })).json();
    };
    answer().then(
      (data) => {
        // An answer that came as the question was taken back must not stand over the next one's.
        if (!stop.signal.aborted) setState({ path, data: data as Answer, busy: false });
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
      // The source does not say why: asking does. A refusal closes it for good; when the server knows us again another one is made.
      api.session.$get().catch(() => undefined);
    };
    return () => source.close();
  }, [path, turn]);
  return connected;
}
