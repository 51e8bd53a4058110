/** @file What is asked of the steering page: what can be chosen, a vector made of texts, one question run, its document. */
import { type Context, Hono } from 'hono';
import { ndjson } from './ndjson.ts';
import type { SteerBoard } from './steer.ts';
import { steerDocumentSchema, steerMakeSchema, steerRequestSchema } from './steer-request.ts';
import { json } from './valid.ts';

export function steerRoutes(board: SteerBoard) {
  const until = (context: Context): AbortSignal => context.req.raw.signal;
  return new Hono()
    .get('/steer', async (context) => context.json(await board.choices()))
    .post('/steer/vector', json(steerMakeSchema), async (context) =>
      context.json(await board.make(context.req.valid('json'), until(context))),
    )
    .post('/steer/document', json(steerDocumentSchema), async (context) =>
      context.json(await board.document(context.req.valid('json'), until(context))),
    )
    .post('/steer/run', json(steerRequestSchema), (context) => {
      const request = context.req.valid('json');
      return ndjson(context, (signal) => board.run(request, signal));
    });
}
