/** @file The OpenAI-compatible server as a hono app. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { streamSSE } from 'hono/streaming';
import { errorLine } from '../../base/index.ts';
import type { AnswerEvent, Question, SpokenToken } from '../../pipeline/index.ts';
import type { EngineProcess } from './engine-process.ts';
import { Metrics } from './metrics.ts';
import { chatForm, completionForm, type ReplyForm, type Told } from './replies.ts';
import { parseChat, parseCompletion, parseSteeringChange, type Wanted } from './requests.ts';
import type { SteeringTable } from './steering-table.ts';
import { errorReply, TurnedDown } from './turned-down.ts';

export interface ServeAppOptions {
  readonly engine: EngineProcess;
  readonly table: SteeringTable;
  /** What clients must send as `Authorization: Bearer`; undefined: nothing. */
  readonly apiKey?: string | undefined;
  /** Host headers that are answered; undefined: any. A page of another site cannot pretend to be one of these. */
  readonly hosts?: (() => readonly string[]) | undefined;
  /** Most bytes of a body. */
  readonly maxBody: number;
  /** Most new tokens of an answer. */
  readonly maxTokens: number;
  /** Answers under way or waiting; further requests get 429. */
  readonly queue: number;
  /** Seconds after which an answer is given up. */
  readonly timeout: number;
}

/** The app, and the state that its owner needs to stop it well. */
export interface ServeApp {
  readonly app: Hono;
  /** Answers under way or waiting. */
  inFlight(): number;
  /** Take no new requests. */
  drain(): void;
}

/** Seconds after which a client may ask again. */
const RETRY_AFTER = '1';

/** The app, without a socket: tests ask it by `app.request`. */
export function createServeApp(options: ServeAppOptions): ServeApp {
  const { engine, table, queue } = options;
  let inFlight = 0;
  let draining = false;
  const metrics = new Metrics(engine, () => inFlight);
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    metrics.request(routeOf(context), context.res.status);
    context.header('X-Content-Type-Options', 'nosniff');
  });
  app.onError((error, context) => {
    const { status, body } = errorReply(error);
    if (status === 429 || status === 503) context.header('Retry-After', RETRY_AFTER);
    return context.json(body, status);
  });
  app.use(knownHost(options));
  app.get('/healthz', (context) =>
    context.json(
      { status: draining ? 'draining' : engine.ready ? 'ok' : 'starting' },
      engine.ready && !draining ? 200 : 503,
    ),
  );
  app.use(withKey(options));
  app.get('/metrics', async (context) => {
    context.header('Content-Type', metrics.contentType);
    return context.body(await metrics.text());
  });
  app.use(
    bodyLimit({
      maxSize: options.maxBody,
      onError: () => {
        throw new TurnedDown(413, `body: more than ${options.maxBody} bytes`);
      },
    }),
  );
  app.get('/v1/models', (context) =>
    context.json({
      object: 'list',
      data: table.models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'crosspatch' })),
    }),
  );
  app.get('/v1/models/:id{.+}', (context) => {
    const id = context.req.param('id');
    if (!table.models.includes(id))
      throw new TurnedDown(404, `model ${id}: there is ${table.models.join(', ')}`, {
        code: 'model_not_found',
      });
    return context.json({ id, object: 'model', created: 0, owned_by: 'crosspatch' });
  });
  app.get('/v1/steering', (context) => context.json(table.list()));
  app.post('/v1/steering', async (context) => {
    const change = parseSteeringChange(await jsonOf(context));
    if ('name' in change) table.add(change.name, change.document);
    else table.setDefault(change.default);
    return context.json(table.list());
  });
  const complete = (form: ReplyForm, parse: (body: unknown) => Wanted) => async (context: Context) => {
    if (draining) throw new TurnedDown(503, 'the server is stopping; ask another');
    const began = performance.now();
    const wanted = parse(await jsonOf(context));
    const steering = table.resolve(wanted.model, wanted.steering);
    const questions = wanted.questions.map((question) => ({
      ...question,
      maxTokens: allowed(question, options),
      steering,
    }));
    if (inFlight + questions.length > queue)
      throw new TurnedDown(
        429,
        `${inFlight} answers are under way or waiting, of at most ${queue}; ask again later`,
      );
    inFlight += questions.length;
    let released = false;
    const release = (): void => {
      if (!released) inFlight -= questions.length;
      released = true;
    };
    const gone = new AbortController();
    const signal = AbortSignal.any([
      context.req.raw.signal,
      gone.signal,
      AbortSignal.timeout(1000 * options.timeout),
    ]);
    const asked = questions.map((question) => watched(engine.ask(question, signal), { began, metrics }));
    try {
      const head = form.head(wanted.model);
      if (!wanted.stream) {
        const told = await Promise.all(asked.map(collect));
        if (signal.aborted) throw late(options);
        release();
        return context.json(form.whole(head, told as Told[]));
      }
      // What is wrong with a request is found before its first word: then it is a status, not a broken stream.
      const firsts = await Promise.all(asked.map((events) => events.next()));
      if (signal.aborted) throw late(options);
      return streamSSE(context, async (stream) => {
        stream.onAbort(() => gone.abort());
        const ends: Extract<AnswerEvent, { type: 'end' }>[] = [];
        const send = async (data: object | undefined): Promise<void> => {
          if (data !== undefined) await stream.writeSSE({ data: JSON.stringify(data) });
        };
        const one = async (index: number): Promise<void> => {
          await send(form.begin(head, index));
          for await (const event of from(firsts[index], asked[index] as Events)) {
            if (event.type === 'end') {
              ends[index] = event;
              await send(form.end(head, index, event));
            } else await send(form.piece(head, index, { text: event.text, tokens: tokensOf(event) }));
          }
        };
        try {
          await Promise.all(questions.map((_, index) => one(index)));
          if (signal.aborted && !stream.aborted) throw late(options);
          if (wanted.includeUsage) await send(form.usage(head, ends));
          await stream.writeSSE({ data: '[DONE]' });
        } catch (error) {
          await send(errorReply(error).body);
        } finally {
          gone.abort();
          release();
        }
      });
    } catch (error) {
      gone.abort();
      release();
      throw error;
    }
  };
  app.post('/v1/chat/completions', complete(chatForm, parseChat));
  app.post('/v1/completions', complete(completionForm, parseCompletion));
  app.all('*', (context) => {
    throw new TurnedDown(404, `${context.req.method} ${context.req.path}: no such address`);
  });
  return {
    app,
    inFlight: () => inFlight,
    drain: () => {
      draining = true;
    },
  };
}

type Heard = Exclude<AnswerEvent, { type: 'error' }>;
type Events = AsyncGenerator<Heard, void, undefined>;

async function* watched(
  events: Events,
  { began, metrics }: { readonly began: number; readonly metrics: Metrics },
): Events {
  let first = true;
  for await (const event of events) {
    const seconds = (performance.now() - began) / 1000;
    if (first) metrics.firstToken(seconds);
    first = false;
    if (event.type === 'end') metrics.answer(event, seconds);
    yield event;
  }
}

async function* from(first: IteratorResult<Heard, void> | undefined, rest: Events): Events {
  if (first === undefined || first.done) return;
  yield first.value;
  yield* rest;
}

async function collect(events: Events): Promise<Told | undefined> {
  let text = '';
  const tokens: SpokenToken[] = [];
  for await (const event of events) {
    if (event.type === 'end') return { text, tokens, end: event };
    text += event.text;
    tokens.push(...tokensOf(event));
  }
  return undefined;
}

function tokensOf(event: Exclude<Heard, { type: 'end' }>): readonly SpokenToken[] {
  if (event.type === 'prompt') return event.tokens ?? [];
  return event.token === undefined ? [] : [event.token];
}

function late({ timeout }: ServeAppOptions): TurnedDown {
  return new TurnedDown(408, `the answer was not ready within ${timeout} s, or nobody waited for it`);
}

function allowed({ maxTokens }: Question, { maxTokens: most }: ServeAppOptions): number | undefined {
  if (maxTokens !== undefined && maxTokens > most)
    throw new TurnedDown(400, `max_tokens: this server allows ${most}, asked for ${maxTokens}`, {
      param: 'max_tokens',
    });
  return maxTokens;
}

async function jsonOf(context: Context): Promise<unknown> {
  // No form of another site's page can send this type.
  const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json')
    throw new TurnedDown(415, `content-type: wanted application/json, got ${type || 'none'}`);
  const text = await context.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TurnedDown(400, `body: no JSON: ${errorLine(error)}`);
  }
}

function withKey({ apiKey }: ServeAppOptions): MiddlewareHandler {
  const wanted = apiKey === undefined ? undefined : digest(apiKey);
  return async (context, next) => {
    if (wanted !== undefined) {
      const [, key = ''] = /^bearer +(.+)$/i.exec(context.req.header('authorization') ?? '') ?? [];
      if (!timingSafeEqual(digest(key), wanted))
        throw new TurnedDown(401, 'no API key, or a wrong one: send Authorization: Bearer KEY', {
          code: 'invalid_api_key',
        });
    }
    await next();
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function knownHost({ hosts }: ServeAppOptions): MiddlewareHandler {
  return async (context, next) => {
    const host = context.req.header('host') ?? '';
    if (hosts !== undefined && !hosts().includes(host))
      throw new TurnedDown(403, `host ${host}: not this server`);
    await next();
  };
}

/** Few names, whatever addresses are asked for. */
function routeOf({ req }: Context): string {
  const known = [
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/models',
    '/v1/steering',
    '/healthz',
    '/metrics',
  ];
  return known.includes(req.path) ? req.path : 'other';
}
