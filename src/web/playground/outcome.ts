/** @file What has come of a playground request so far, as its events come in; one request at a time. */
import { useEffect, useRef } from 'react';
import type {
  PlaygroundArm,
  PlaygroundEvent,
  PlaygroundProof,
  PlaygroundRequest,
} from '../../server/index.ts';
import { api } from '../client.ts';
import { going, useStreamed } from '../stream.ts';

/** What has come of a request so far. */
export interface Outcome {
  readonly busy: boolean;
  /** What is shown is the answer to the request before, until the new one's begins. */
  readonly stale: boolean;
  readonly status: string;
  readonly error?: string;
  readonly prompt?: Extract<PlaygroundEvent, { type: 'prompt' }>;
  readonly proofs: Readonly<Partial<Record<PlaygroundArm, PlaygroundProof>>>;
  readonly texts: Readonly<Partial<Record<PlaygroundArm, string>>>;
  readonly ends: Readonly<Partial<Record<PlaygroundArm, 'stop' | 'length'>>>;
}

const EMPTY = { proofs: {}, texts: {}, ends: {} } as const;

/** A request is on its way: the answers to the one before stay in sight. */
function begin(before: Outcome | undefined): Outcome {
  const { prompt, proofs, texts, ends } = before ?? EMPTY_OUTCOME;
  return { busy: true, stale: prompt !== undefined, status: 'asking', prompt, proofs, texts, ends };
}
const EMPTY_OUTCOME: Outcome = { busy: true, stale: false, status: 'asking', ...EMPTY };

function take(outcome: Outcome, event: PlaygroundEvent): Outcome {
  switch (event.type) {
    case 'prompt':
      return { ...outcome, ...EMPTY, stale: false, prompt: event };
    case 'proof': {
      const { type: _type, ...proof } = event;
      return { ...outcome, proofs: { ...outcome.proofs, [event.arm]: proof } };
    }
    case 'token':
      return {
        ...outcome,
        texts: { ...outcome.texts, [event.arm]: (outcome.texts[event.arm] ?? '') + event.text },
      };
    case 'end':
      return { ...outcome, ends: { ...outcome.ends, [event.arm]: event.finish } };
    case 'status':
    case 'done':
    case 'error':
      return going(outcome, event);
  }
}

const STREAMED = {
  post: (json: PlaygroundRequest, init: { signal: AbortSignal }) =>
    api.playground.run.$post({ json }, { init }),
  begin,
  take,
  stopped: (outcome: Outcome): Outcome => ({ ...outcome, busy: false, status: 'stopped' }),
};

/** One request at a time: a new one stops the one under way. */
export function useOutcome() {
  return useStreamed<PlaygroundRequest, PlaygroundEvent, Outcome>(STREAMED);
}

/** After the first run, a change of anything runs again, when it has settled. */
export function useRerun(
  request: PlaygroundRequest | undefined,
  on: boolean,
  run: (request: PlaygroundRequest) => void,
): void {
  const text = JSON.stringify(request);
  const before = useRef(text);
  useEffect(() => {
    if (text === before.current || text === undefined) return;
    before.current = text;
    if (!on) return;
    const timer = setTimeout(() => run(JSON.parse(text) as PlaygroundRequest), 350);
    return () => clearTimeout(timer);
  }, [text, on, run]);
}
