/** @file A request whose answer comes line by line, folded into one state; one request at a time. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { duration } from './progress.ts';

/** How a request is sent, and what its events make of what is shown. */
interface Streamed<Request, Event, Outcome> {
  readonly post: (body: Request, init: { signal: AbortSignal }) => Promise<{ body: unknown }>;
  /** A request is on its way: the answers to the one before may stay in sight. */
  readonly begin: (before: Outcome | undefined, request: Request) => Outcome;
  readonly take: (outcome: Outcome, event: Event | { type: 'error'; message: string }) => Outcome;
  readonly stopped: (outcome: Outcome) => Outcome;
}

/** What every streamed answer says of how it goes. */
interface Going {
  readonly busy: boolean;
  readonly status: string;
  readonly error?: string;
}
type GoingEvent =
  | { readonly type: 'status'; readonly message: string }
  | { readonly type: 'done'; readonly seconds: number; readonly tokens: number }
  | { readonly type: 'error'; readonly message: string };

/** The state after such an event. */
export function going<O extends Going>(outcome: O, event: GoingEvent): O {
  switch (event.type) {
    case 'status':
      return { ...outcome, status: event.message };
    case 'done':
      return { ...outcome, busy: false, status: `${event.tokens} tokens in ${duration(event.seconds)}` };
    case 'error':
      return { ...outcome, busy: false, status: '', error: event.message };
  }
}

/** A new request stops the one under way. `streamed` must stay the same object. */
export function useStreamed<Request, Event, Outcome>(
  streamed: Streamed<Request, Event, Outcome>,
): {
  readonly outcome: Outcome | undefined;
  readonly run: (request: Request) => void;
  readonly stop: () => void;
} {
  const [outcome, setOutcome] = useState<Outcome>();
  const under = useRef<AbortController>(undefined);
  useEffect(() => () => under.current?.abort(), []);
  const run = useCallback(
    (request: Request) => {
      under.current?.abort();
      const stop = new AbortController();
      under.current = stop;
      setOutcome((before) => streamed.begin(before, request));
      const put = (events: readonly (Event | { type: 'error'; message: string })[]) => {
        if (!stop.signal.aborted)
          setOutcome((before) => events.reduce(streamed.take, before ?? streamed.begin(undefined, request)));
      };
      readLines(streamed.post(request, { signal: stop.signal }), (lines) =>
        put(lines.map((line) => JSON.parse(line) as Event)),
      ).catch((error: unknown) => {
        put([{ type: 'error', message: error instanceof Error ? error.message : String(error) }]);
      });
    },
    [streamed],
  );
  const stop = useCallback(() => {
    under.current?.abort();
    setOutcome((before) => before && streamed.stopped(before));
  }, [streamed]);
  return { outcome, run, stop };
}

async function readLines(
  answer: Promise<{ body: unknown }>,
  put: (lines: readonly string[]) => void,
): Promise<void> {
  const body = (await answer).body as ReadableStream<Uint8Array<ArrayBuffer>> | null;
  const reader = body?.pipeThrough<string>(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) put(lines);
  }
}
