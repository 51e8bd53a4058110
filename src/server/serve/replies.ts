/** @file Answers in the shapes of OpenAI's API, with the proof of steering beside them. */
import { randomBytes } from 'node:crypto';
import type { AnswerEvent, SpokenToken } from '../../pipeline/index.ts';

type End = Extract<AnswerEvent, { type: 'end' }>;

/** Names of an answer: the same in all its chunks. */
export interface ReplyHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** What one choice came to. */
export interface Told {
  readonly text: string;
  readonly tokens: readonly SpokenToken[];
  readonly end: End;
}

/** The two routes, and what differs between them. */
export interface ReplyForm {
  head(model: string): ReplyHead;
  /** The whole answer. */
  whole(head: ReplyHead, choices: readonly Told[]): object;
  /** Chunks of a stream. */
  begin(head: ReplyHead, index: number): object | undefined;
  piece(
    head: ReplyHead,
    index: number,
    piece: { readonly text: string; readonly tokens: readonly SpokenToken[] },
  ): object;
  end(head: ReplyHead, index: number, end: End): object;
  usage(head: ReplyHead, ends: readonly End[]): object;
}

const CHAT_CHUNK = 'chat.completion.chunk';
const TEXT = 'text_completion';

const makeHead =
  (prefix: string) =>
  (model: string): ReplyHead => ({
    id: `${prefix}-${randomBytes(12).toString('hex')}`,
    created: Math.floor(Date.now() / 1000),
    model,
  });

export const chatForm: ReplyForm = {
  head: makeHead('chatcmpl'),
  whole: (head, told) =>
    whole(head, 'chat.completion', {
      told,
      choice: ({ text, tokens }) => ({
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: chatLogprobs(tokens),
      }),
    }),
  begin: (head, index) => chunk(head, CHAT_CHUNK, { index, delta: { role: 'assistant', content: '' } }),
  piece: (head, index, { text, tokens }) =>
    chunk(head, CHAT_CHUNK, { index, delta: { content: text }, logprobs: chatLogprobs(tokens) }),
  end: (head, index, { finish, steering }) => ({
    ...chunk(head, CHAT_CHUNK, { index, delta: {}, finish_reason: finish }),
    steering,
  }),
  usage: (head, ends) => ({ ...head, object: CHAT_CHUNK, choices: [], usage: usageOf(ends) }),
};

export const completionForm: ReplyForm = {
  head: makeHead('cmpl'),
  whole: (head, told) =>
    whole(head, TEXT, {
      told,
      choice: ({ text, tokens }) => ({ text, logprobs: completionLogprobs(tokens) }),
    }),
  begin: () => undefined,
  piece: (head, index, { text, tokens }) =>
    chunk(head, TEXT, { index, text, logprobs: completionLogprobs(tokens) }),
  end: (head, index, { finish, steering }) => ({
    ...chunk(head, TEXT, { index, text: '', finish_reason: finish }),
    steering,
  }),
  usage: (head, ends) => ({ ...head, object: TEXT, choices: [], usage: usageOf(ends) }),
};

/** An answer in one piece; the proof of steering stands with its choice, and of the first choice with the whole. */
function whole(
  head: ReplyHead,
  object: string,
  { told, choice }: { readonly told: readonly Told[]; readonly choice: (one: Told) => object },
): object {
  return {
    ...head,
    object,
    choices: told.map((one, index) => ({
      index,
      ...choice(one),
      finish_reason: one.end.finish,
      steering: one.end.steering,
    })),
    usage: usageOf(told.map(({ end }) => end)),
    steering: told[0]?.end.steering,
  };
}

function chunk(head: ReplyHead, object: string, choice: object): object {
  return { ...head, object, choices: [{ finish_reason: null, logprobs: null, ...choice }] };
}

function usageOf(ends: readonly End[]): object {
  const sum = (of: 'promptTokens' | 'completionTokens'): number => ends.reduce((n, end) => n + end[of], 0);
  const [prompt, completion] = [sum('promptTokens'), sum('completionTokens')];
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function chatLogprobs(tokens: readonly SpokenToken[]): object | null {
  if (tokens.length === 0) return null;
  return {
    content: tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top })),
    refusal: null,
  };
}

/** The older form: lists beside each other. Of tokens with the same text the likeliest is named. */
function completionLogprobs(tokens: readonly SpokenToken[]): object | null {
  if (tokens.length === 0) return null;
  let offset = 0;
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ token, logprob, top }) =>
      logprob === null
        ? null
        : Object.fromEntries(
            [{ token, logprob }, ...top]
              .sort((a, b) => a.logprob - b.logprob)
              .map((t) => [t.token, t.logprob]),
          ),
    ),
    text_offset: tokens.map(({ token }) => {
      const at = offset;
      offset += token.length;
      return at;
    }),
  };
}
