/** @file The web app's server as a hono app: pages, JSON, live events. Everything it reads lies in the runs folder. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { CrosspatchError, errorLine } from '../../base/index.ts';
import type { Finds } from './finds.ts';
import type { Guard } from './guard.ts';
import type { ModelProcesses } from './model-process.ts';
import { Playground } from './playground.ts';
import { Refused } from './refused.ts';
import { controlRoutes } from './routes-control.ts';
import { playgroundRoutes } from './routes-playground.ts';
import { runRoutes } from './routes-runs.ts';
import { sampleRoutes } from './routes-samples.ts';
import { steerRoutes } from './routes-steer.ts';
import type { RunControl } from './run-control.ts';
import type { RunsFolder } from './runs-folder.ts';
import { SteerBoard } from './steer.ts';

export interface ViewAppOptions {
  readonly runs: RunsFolder;
  readonly guard: Guard;
  readonly finds: Finds;
  /** Ended by whoever started them. */
  readonly processes: ModelProcesses;
  readonly control: RunControl;
  /** Folder of the built web app: index.html and assets/. */
  readonly webRoot: string;
  readonly version: string;
  /** Clock of ratings. Defaults to the system's. */
  readonly now?: () => Date;
}

/** Nothing but this server's own files; styles may be inline because figures set them on elements. */
const CONTENT_SECURITY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/** Most bytes of a body: a prompt of 20,000 characters fits many times. */
const LARGEST_BODY = 256 * 1024;

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
  app.use('/api/*', bodyLimit({ maxSize: LARGEST_BODY, onError: tooLarge }));
  app.route('/api', apiRoutes(options));
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

function apiRoutes({
  runs,
  finds,
  processes,
  control,
  guard,
  version,
  now = () => new Date(),
}: ViewAppOptions) {
  return new Hono()
    .route('/', runRoutes(runs, { version, changeKey: guard.changeKey }))
    .route('/', sampleRoutes(runs, now))
    .route('/', playgroundRoutes(new Playground(runs, finds, processes)))
    .route('/', controlRoutes(control, guard))
    .route('/', steerRoutes(new SteerBoard(finds, processes)));
}

/** Every address of the API with what it takes and gives: the browser's client (`hc`) has its types from here. */
export type ViewApi = ReturnType<typeof apiRoutes>;

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

function tooLarge(): never {
  throw new Refused(413, `the body is too large: at most ${LARGEST_BODY / 1024} kB are taken`);
}

/** What the client is told: own errors in words, without the way to the folder; nothing of the others. */
function refusal(error: unknown, context: Context, root: string): Response {
  const status = error instanceof Refused ? error.status : error instanceof CrosspatchError ? 409 : 500;
  const message = error instanceof CrosspatchError ? errorLine(error) : 'the server failed; see its output';
  if (status === 500) process.stderr.write(`view: ${errorLine(error)}\n`);
  return context.json({ error: message.replaceAll(`${root}/`, '') }, status);
}
