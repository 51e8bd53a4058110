/** @file What has come of a steering question so far, as its events come in. */
import type { SteerAnswer, SteerProof, SteerRequest, SteerStreamEvent } from '../../server/index.ts';
import { api } from '../client.ts';
import { going, useStreamed } from '../stream.ts';

/** Values along every lens, token by token; null where a token was not read. */
export type Along = readonly (readonly (number | null)[])[];

/** One answer as far as it is written. */
export interface Written {
  /** Pieces of text, one a token. */
  readonly pieces: readonly string[];
  readonly finish?: 'stop' | 'length';
  readonly along: Along;
}

/** What has come of a question so far. */
export interface Outcome {
  readonly request: SteerRequest;
  readonly busy: boolean;
  /** What is shown is the answer to the question before, until the new one's begins. */
  readonly stale: boolean;
  readonly status: string;
  readonly error?: string;
  readonly prompt?: { readonly tokens: readonly string[]; readonly length: number };
  readonly along: Along;
  readonly proofs: readonly SteerProof[];
  readonly answers: Readonly<Record<string, Written>>;
  /** The question that what is shown answers. */
  readonly answered: SteerRequest;
}

/** Key of an answer. */
export function keyOf({ arm, strength, sample }: SteerAnswer): string {
  return `${arm} ${strength} ${sample}`;
}

const NOTHING: Written = { pieces: [], along: [] };

function begin(before: Outcome | undefined, request: SteerRequest): Outcome {
  const shown = before ?? { along: [], proofs: [], answers: {}, answered: request, prompt: undefined };
  const { along, proofs, answers, answered, prompt } = shown;
  return {
    request,
    busy: true,
    stale: prompt !== undefined,
    status: 'asking',
    prompt,
    along,
    proofs,
    answers,
    answered,
  };
}

/** One event more. */
export function take(outcome: Outcome, event: SteerStreamEvent): Outcome {
  const change = (answer: SteerAnswer, next: (before: Written) => Written): Outcome => {
    const key = keyOf(answer);
    return {
      ...outcome,
      answers: { ...outcome.answers, [key]: next(outcome.answers[key] ?? NOTHING) },
    };
  };
  switch (event.type) {
    case 'prompt': {
      const { tokens, length } = event;
      const cleared = { along: [], proofs: [], answers: {} };
      return { ...outcome, ...cleared, stale: false, prompt: { tokens, length }, answered: outcome.request };
    }
    case 'along':
      return { ...outcome, along: event.along };
    case 'proof': {
      const { type: _type, ...proof } = event;
      return { ...outcome, proofs: [...outcome.proofs, proof] };
    }
    case 'token':
      return change(event, (before) => ({ ...before, pieces: [...before.pieces, event.text] }));
    case 'end':
      return change(event, (before) => ({ ...before, finish: event.finish, along: event.along }));
    case 'status':
    case 'done':
    case 'error':
      return going(outcome, event);
  }
}

const STREAMED = {
  post: (json: SteerRequest, init: { signal: AbortSignal }) => api.steer.run.$post({ json }, { init }),
  begin,
  take,
  stopped: (outcome: Outcome): Outcome => ({ ...outcome, busy: false, status: 'stopped' }),
};

/** One question at a time: a new one stops the one under way. */
export function useOutcome() {
  return useStreamed<SteerRequest, SteerStreamEvent, Outcome>(STREAMED);
}
