/** @file What is asked of the playground: what can be chosen, what a model is like, one request run. */
import { Hono } from 'hono';
import { z } from 'zod';
import { ndjson } from './ndjson.ts';
import type { Playground } from './playground.ts';
import { playgroundRequestSchema } from './playground-request.ts';
import { json, query } from './valid.ts';

export function playgroundRoutes(playground: Playground) {
  return new Hono()
    .get('/playground', async (context) => context.json(await playground.choices()))
    .get('/playground/model', query(z.object({ id: z.string().min(1) })), async (context) =>
      context.json(await playground.describe(context.req.valid('query').id)),
    )
    .post('/playground/run', json(playgroundRequestSchema), (context) => {
      const request = context.req.valid('json');
      return ndjson(context, (signal) => playground.run(request, signal));
    });
}
