/** @file The web app's server as a hono app: pages, JSON, live events. Everything it reads lies in the runs folder. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Context, Hono } from 'hono';
import { stream, streamSSE } from 'hono/streaming';
import { CrosspatchError, errorLine } from '../../base/index.ts';
import { exampleTable } from '../../figures/index.ts';
import { compareResults, flattenResults, readResultsSoFar } from '../../pipeline/index.ts';
import { verdictSentences } from '../../report/index.ts';
import type { Comparison, DrawnSamples, RunResults, SampleFilter, Session } from './api.ts';
import type { Guard } from './guard.ts';
import { type Playground, playgroundRequestSchema } from './playground.ts';
import { RatingStore, ratingChangeSchema, ratingsCsv } from './ratings.ts';
import { Refused } from './refused.ts';
import type { RunsFolder } from './runs-folder.ts';
import { SampleStore } from './samples.ts';
import { followRun } from './tail.ts';

export interface ViewAppOptions {
  readonly runs: RunsFolder;
  readonly guard: Guard;
  readonly playground: Playground;
  /** Folder of the built web app: index.html and assets/. */
  readonly webRoot: string;
  readonly version: string;
  /** Clock of ratings. Defaults to the system's. */
  readonly now?: () => Date;
}

/** Nothing but this server's own files; styles may be inline because figures set them on elements. */
const CONTENT_SECURITY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/** The report is a file from the runs folder: shown, never given this origin. */
const REPORT_SECURITY =
  "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const HEARTBEAT_MS = 15_000;

/** The app, without a socket: tests ask it by `app.request`. */
export function createViewApp(options: ViewAppOptions): Hono {
  const { runs, guard, webRoot } = options;
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header('X-Content-Type-Options', 'nosniff');
    context.header('Referrer-Policy', 'no-referrer');
    if (!context.res.headers.has('Content-Security-Policy'))
      context.header('Content-Security-Policy', CONTENT_SECURITY);
  });
  app.use(guard.ownPage);
  app.onError((error, context) => refusal(error, context, runs.root));
  app.use('/api/*', guard.token);
  app.use('/api/*', async (context, next) => {
    await next();
    context.header('Cache-Control', 'no-store');
  });
  addRuns(app, options);
  addSamples(app, options);
  addPlayground(app, options);
  app.all('/api/*', () => {
    throw new Refused(404, 'no such address');
  });
  app.get('/assets/:file', (context) => asset(context, webRoot));
  app.get('*', async (context) => {
    // Without a token the page still comes (it holds no data), and asks for the address that `view` printed.
    const status = guard.admit(context) ? 200 : 401;
    return context.html(await readFile(join(webRoot, 'index.html'), 'utf8'), status);
  });
  return app;
}

function addRuns(app: Hono, { runs, version }: ViewAppOptions): void {
  app.get('/api/session', (context) => {
    const session: Session = { version, folder: runs.name, ...(runs.only ? { only: runs.only } : {}) };
    return context.json(session);
  });
  app.get('/api/runs', async (context) => context.json(await runs.list()));
  app.get('/api/runs/:run', async (context) => context.json(await runs.detail(context.req.param('run'))));
  app.get('/api/runs/:run/results', async (context) => {
    const run = context.req.param('run');
    const results = await resultsOf(runs, run);
    const partial = !(await runs.find(run, 'results.json'));
    const body: RunResults = { results, partial, verdict: verdictSentences(results) };
    return context.json(body);
  });
  app.get('/api/runs/:run/report', async (context) => {
    const path = await runs.path(context.req.param('run'), 'report.html');
    context.header('Content-Security-Policy', REPORT_SECURITY);
    return context.html(await readFile(path, 'utf8'));
  });
  app.get('/api/compare', async (context) => {
    const [a, b] = [needed(context, 'a'), needed(context, 'b')];
    const [left, right] = [await resultsOf(runs, a), await resultsOf(runs, b)];
    const differences = compareResults(left, right);
    const paths = new Set([left, right].flatMap((r) => flattenResults(r).map((figure) => figure.path)));
    const body: Comparison = { a, b, differences, equal: paths.size - differences.length };
    return context.json(body);
  });
  app.get('/api/runs/:run/events', async (context) => {
    const folder = await runs.run(context.req.param('run'));
    // A browser that reconnects says where it was; a page that lost the browser's memory says so in the address.
    const from = Number(context.req.header('last-event-id') ?? context.req.query('from') ?? 0);
    return streamSSE(context, async (sse) => {
      const stop = new AbortController();
      sse.onAbort(() => stop.abort());
      const beat = setInterval(() => void sse.write(': still here\n\n').catch(() => {}), HEARTBEAT_MS);
      try {
        await sse.write('retry: 1000\n\n');
        const start = Number.isSafeInteger(from) && from > 0 ? from : 0;
        for await (const item of followRun(folder, { from: start, signal: stop.signal }))
          await sse.writeSSE({
            event: item.event,
            data: JSON.stringify(item.data),
            ...(item.event === 'log'
              ? { id: String(item.offset) }
              : item.event === 'reset'
                ? { id: '0' }
                : {}),
          });
      } finally {
        clearInterval(beat);
      }
    });
  });
}

function addSamples(app: Hono, { runs, now = () => new Date() }: ViewAppOptions): void {
  const samples = new SampleStore(runs);
  const ratings = new RatingStore(runs);
  app.get('/api/runs/:run/samples', async (context) => {
    const run = context.req.param('run');
    const filter = filterOf(context);
    await runs.run(run);
    return context.json(await samples.index(run, filter, await ratings.read(run)));
  });
  app.get('/api/runs/:run/drawn', async (context) => {
    const run = context.req.param('run');
    const behaviour = (await resultsOf(runs, run)).behaviours[Number(needed(context, 'behaviour'))];
    if (!behaviour) throw new Refused(404, `run ${run}: no such behaviour`);
    const all = await samples.ofBehaviour(run, behaviour.pair.behaviour);
    const scores = all.flatMap(({ stage, behaviour: name, trigger, arm, map, scores: own }) =>
      stage === 'fidelity' && own ? [{ stage, behaviour: name, trigger, arm, map, scores: own }] : [],
    );
    const body: DrawnSamples = { scores, examples: exampleTable(behaviour, all) };
    return context.json(body);
  });
  app.get('/api/runs/:run/group', async (context) => {
    const run = context.req.param('run');
    const id = context.req.query('id');
    const which = id ? { id } : { behaviour: needed(context, 'in'), prompt_id: needed(context, 'prompt') };
    return context.json(await samples.group(run, which, filterOf(context), await ratings.read(run)));
  });
  app.put('/api/runs/:run/ratings', async (context) => {
    const run = context.req.param('run');
    const parsed = ratingChangeSchema.safeParse(await body(context));
    if (!parsed.success) throw new Refused(400, 'rating: wanted {id, rating: 1…5 or null, note?}');
    const { id, rating, note } = parsed.data;
    if (!(await samples.has(run, id))) throw new Refused(404, `run ${run}: no sample is called ${id}`);
    const change = { id, rating, note };
    return context.json({ rating: await ratings.change(run, change, now().toISOString()) });
  });
  app.get('/api/runs/:run/ratings', async (context) => {
    const run = context.req.param('run');
    await runs.run(run);
    const all = await ratings.read(run);
    if (context.req.query('format') !== 'csv') return context.json(all);
    context.header('Content-Type', 'text/csv; charset=utf-8');
    context.header(
      'Content-Disposition',
      `attachment; filename="ratings.csv"; filename*=UTF-8''${encodeURIComponent(run)}-ratings.csv`,
    );
    return context.body(ratingsCsv(all, await samples.byId(run)));
  });
}

function filterOf(context: Context): SampleFilter {
  const { behaviour, stage, arm, outcome, q, rated } = context.req.query();
  return {
    ...(behaviour ? { behaviour } : {}),
    ...(stage ? { stage } : {}),
    ...(arm ? { arm } : {}),
    ...(outcome ? { outcome } : {}),
    ...(q ? { q } : {}),
    ...(rated === 'yes' || rated === 'no' ? { rated } : {}),
  };
}

function addPlayground(app: Hono, { playground }: ViewAppOptions): void {
  app.get('/api/playground', async (context) => context.json(await playground.choices()));
  app.get('/api/playground/model', async (context) =>
    context.json(await playground.describe(needed(context, 'id'))),
  );
  app.post('/api/playground/run', async (context) => {
    const parsed = playgroundRequestSchema.safeParse(await body(context));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new Refused(400, `playground: ${issue?.path.join('.')}: ${issue?.message}`);
    }
    context.header('Content-Type', 'application/x-ndjson; charset=utf-8');
    return stream(context, async (out) => {
      const stop = new AbortController();
      out.onAbort(() => stop.abort());
      try {
        for await (const event of playground.run(parsed.data, stop.signal))
          await out.write(`${JSON.stringify(event)}\n`);
      } catch (error) {
        await out.write(`${JSON.stringify({ type: 'error', message: errorLine(error) })}\n`);
      }
    });
  });
}

async function resultsOf(runs: RunsFolder, run: string) {
  const folder = await runs.run(run);
  if (!(await runs.hasResults(run))) throw new Refused(404, `run ${run}: no results yet`);
  return readResultsSoFar(folder);
}

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};

async function asset(context: Context, webRoot: string): Promise<Response> {
  const file = context.req.param('file') ?? '';
  const type = /^[\w-]+\.(\w+)$/.exec(file)?.[1];
  if (type === undefined || TYPES[type] === undefined) throw new Refused(404, 'no such file');
  const bytes = await readFile(join(webRoot, 'assets', file)).catch(() => {
    throw new Refused(404, 'no such file');
  });
  context.header('Content-Type', TYPES[type]);
  context.header('Cache-Control', 'public, max-age=31536000, immutable');
  return context.body(new Uint8Array(bytes));
}

function needed(context: Context, name: string): string {
  const value = context.req.query(name);
  if (value === undefined || value === '') throw new Refused(400, `${name}: wanted a value, got none`);
  return value;
}

async function body(context: Context): Promise<unknown> {
  if (!context.req.header('content-type')?.startsWith('application/json'))
    throw new Refused(400, 'wanted a body of JSON (content-type application/json)');
  return context.req.json().catch(() => {
    throw new Refused(400, 'the body is no JSON');
  });
}

/** What the client is told: own errors in words, without the way to the folder; nothing of the others. */
function refusal(error: unknown, context: Context, root: string): Response {
  const status = error instanceof Refused ? error.status : error instanceof CrosspatchError ? 409 : 500;
  const message = error instanceof CrosspatchError ? errorLine(error) : 'the server failed; see its output';
  if (status === 500) process.stderr.write(`view: ${errorLine(error)}\n`);
  return context.json({ error: message.replaceAll(`${root}/`, '') }, status);
}
