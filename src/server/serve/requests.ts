/** @file Bodies of OpenAI's API, and of the steering routes. Fields that would change the answer and are not supported are refused, the rest passed over. */
import { z } from 'zod';
import { InputError } from '../../base/index.ts';
import { type InterventionDocument, parseIntervention } from '../../contracts/index.ts';
import type { Question } from '../../pipeline/index.ts';
import { TurnedDown } from './turned-down.ts';

const wanted = (what: string) => ({ error: `wanted ${what}` });
const absent = (value: unknown): boolean => value === undefined || value === null;
/** A field that is not supported, but may be given as what it is by default. */
const only = (what: string, isDefault: (value: unknown) => boolean) =>
  z
    .unknown()
    .refine((value) => absent(value) || isDefault(value), `not supported; leave it out, or give ${what}`)
    .optional();
const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
const unsupported = {
  n: only('1', (value) => value === 1),
  best_of: only('1', (value) => value === 1),
  suffix: only('""', (value) => value === ''),
  frequency_penalty: only('0', (value) => value === 0),
  presence_penalty: only('0', (value) => value === 0),
  logit_bias: only('{}', isEmpty),
  tools: only('[]', isEmpty),
  functions: only('[]', isEmpty),
  response_format: only('{"type": "text"}', (value) => (value as { type?: unknown }).type === 'text'),
  audio: only('null', () => false),
};

const stop = z
  .union([z.string(), z.array(z.string()).max(16)], wanted('a text, or at most 16 texts'))
  .nullish()
  .transform((given) =>
    given === undefined || given === null ? [] : [given].flat().filter((s) => s !== ''),
  );
const LARGEST_SEED = 2 ** 31 - 1;

const common = {
  model: z.string().min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(1).nullish(),
  seed: z.int().min(-LARGEST_SEED).max(LARGEST_SEED).nullish(),
  stop,
  /** An intervention document, the name of one the server knows, or null for none. */
  steering: z.unknown().optional(),
  ...unsupported,
};

const part = z.looseObject({ type: z.literal('text'), text: z.string() });
const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(part).min(1)], wanted('a text, or parts {type: "text", text}')),
  tool_calls: only('null', isEmpty),
});

const chatBody = z.looseObject({
  ...common,
  messages: z.array(message).min(1).max(1000),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
});

const ids = z.array(z.int().min(0)).min(1);
const completionBody = z.looseObject({
  ...common,
  prompt: z.union(
    [z.string(), ids, z.array(z.string()).min(1).max(128), z.array(ids).min(1).max(128)],
    wanted('a text, token ids, or at most 128 of either'),
  ),
  max_tokens: z.int().min(0).nullish(),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.boolean().nullish(),
});

const steeringBody = z.union(
  [
    z.strictObject({ default: z.string().min(1).nullable() }),
    z.strictObject({ name: z.string().regex(/^[\w.-]{1,64}$/), document: z.unknown() }),
  ],
  wanted('{default: NAME or null}, or {name, document}'),
);

/** What a request asks for, whatever its route. */
export interface Wanted {
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Absent: the server's default. Null: none. */
  readonly steering: string | InterventionDocument | null | undefined;
  /** One per choice of the answer; `steering` is still to be put in. */
  readonly questions: readonly Question[];
}

/** New tokens of a completion when nobody says how many, as OpenAI's. */
const COMPLETION_TOKENS = 16;

/** A body of `/v1/chat/completions`. Throws {@link TurnedDown} with the field that is wrong. */
export function parseChat(body: unknown): Wanted {
  const given = parsed(chatBody, body);
  const { messages, logprobs, top_logprobs, max_tokens, max_completion_tokens } = given;
  if (typeof top_logprobs === 'number' && logprobs !== true)
    throw new TurnedDown(400, 'top_logprobs: needs logprobs: true', { param: 'top_logprobs' });
  const text = (content: (typeof messages)[number]['content']): string =>
    typeof content === 'string' ? content : content.map((one) => one.text).join('');
  return {
    ...ofAll(given),
    questions: [
      {
        ...settingsOf(given),
        prompt: { messages: messages.map(({ role, content }) => ({ role, content: text(content) })) },
        maxTokens: max_completion_tokens ?? max_tokens ?? undefined,
        logprobs: logprobs === true ? (top_logprobs ?? 0) : undefined,
        echo: false,
      },
    ],
  };
}

/** A body of `/v1/completions`. Throws {@link TurnedDown} with the field that is wrong. */
export function parseCompletion(body: unknown): Wanted {
  const given = parsed(completionBody, body);
  const { prompt, logprobs, echo, max_tokens } = given;
  const list =
    typeof prompt === 'string' || typeof prompt[0] === 'number'
      ? [prompt as string | number[]]
      : (prompt as (string | number[])[]);
  if (echo !== true && max_tokens === 0)
    throw new TurnedDown(400, 'max_tokens: 0 needs echo: true', { param: 'max_tokens' });
  return {
    ...ofAll(given),
    questions: list.map((one) => ({
      ...settingsOf(given),
      prompt: typeof one === 'string' ? { text: one } : { ids: one },
      maxTokens: max_tokens ?? COMPLETION_TOKENS,
      logprobs: logprobs ?? undefined,
      echo: echo === true,
    })),
  };
}

/** A body of `POST /v1/steering`. */
export function parseSteeringChange(
  body: unknown,
): { readonly default: string | null } | { readonly name: string; readonly document: InterventionDocument } {
  const given = parsed(steeringBody, body);
  return 'name' in given ? { name: given.name, document: parseBodyDocument(given.document) } : given;
}

/**
 * An intervention document that comes over the network: its vectors lie in it. It may not name files, models or maps of the server, nor
 * patterns, which can be made to take for ever.
 */
function parseBodyDocument(given: unknown): InterventionDocument {
  const document = refusedAs('steering', () => parseIntervention(given, 'steering'));
  const complain = (what: string): never => {
    throw new TurnedDown(
      400,
      `steering: ${what} may not be named in a request; start the server with --steering NAME=FILE and ask for it by name`,
      { param: 'steering' },
    );
  };
  const { when } = document;
  if (typeof when === 'object' && 'span' in when && when.span.pattern !== undefined) complain('a pattern');
  if (typeof when === 'object' && 'activation' in when) {
    if (when.activation.vector.from === 'file') complain('a file');
    if (when.activation.model !== undefined) complain('a model');
  }
  for (const edit of document.interventions) {
    if (!('vector' in edit)) continue;
    if (edit.vector.from === 'file') complain('a file');
    if (edit.vector.from !== 'run') continue;
    if (edit.vector.model !== undefined) complain('a model');
    if (edit.vector.map !== undefined) complain('a map');
  }
  return document;
}

function ofAll({
  model,
  stream,
  stream_options,
  steering,
}: Pick<z.infer<typeof chatBody>, 'model' | 'stream' | 'stream_options' | 'steering'>): Omit<
  Wanted,
  'questions'
> {
  return {
    model,
    stream: stream === true,
    includeUsage: stream_options?.include_usage === true,
    steering:
      steering === undefined || steering === null || typeof steering === 'string'
        ? steering
        : parseBodyDocument(steering),
  };
}

function settingsOf({
  temperature,
  top_p,
  top_k,
  seed,
  stop: stops,
}: Pick<z.infer<typeof chatBody>, 'temperature' | 'top_p' | 'top_k' | 'seed' | 'stop'>): Pick<
  Question,
  'temperature' | 'topP' | 'topK' | 'seed' | 'stop'
> {
  return {
    temperature: temperature ?? 1,
    topP: top_p ?? 1,
    topK: top_k ?? undefined,
    seed: seed ?? Math.floor(Math.random() * LARGEST_SEED),
    stop: stops,
  };
}

function parsed<T extends z.ZodType>(schema: T, body: unknown): z.infer<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const param = issue?.path.join('.') ?? '';
  throw new TurnedDown(400, `${param === '' ? 'body' : param}: ${issue?.message ?? 'cannot be used'}`, {
    param: param === '' ? null : param,
    code: 'invalid_value',
  });
}

function refusedAs<T>(param: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof InputError) throw new TurnedDown(400, error.message, { param, code: error.id });
    throw error;
  }
}
