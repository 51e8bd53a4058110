/** @file Starts the web app's server on 127.0.0.1 with a token of its own. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ServerType, serve } from '@hono/node-server';
import { InputError, type Owned } from '../../base/index.ts';
import { packageRoot } from '../../pipeline/index.ts';
import { createViewApp } from './app.ts';
import { Finds } from './finds.ts';
import { makeGuard } from './guard.ts';
import { ModelProcesses } from './model-process.ts';
import { RunControl } from './run-control.ts';
import { RunsFolder } from './runs-folder.ts';

export interface ViewOptions {
  /** Folder of run folders, or one run folder. */
  readonly folder: string;
  /** Defaults to 4517, and to any free port when that is taken. 0 = any free port. */
  readonly port?: number;
  /** Runs may be looked at, not started, stopped or deleted. Defaults to false: the server is reached from this machine only. */
  readonly readOnly?: boolean;
  /** Models beside the bundled ones and those of the runs: paths. */
  readonly models?: readonly string[];
  /** Vectors and intervention documents beside those below the folder: paths. */
  readonly vectors?: readonly string[];
  /** Folder of the built web app. Defaults to `dist/web` of the package. */
  readonly webRoot?: string;
  readonly version?: string;
}

/** A running server. */
export interface ViewServer extends Owned {
  readonly port: number;
  /** Address to open, token included. */
  readonly url: string;
  readonly token: string;
}

const PORT = 4517;

/**
 * Start. Throws {@link InputError} when the folder is not there, the port is taken or the web app is not built.
 *
 * @example await using server = await startViewServer({ folder: 'runs' });
 */
export async function startViewServer(options: ViewOptions): Promise<ViewServer> {
  const webRoot = options.webRoot ?? join(packageRoot(), 'dist', 'web');
  if (!existsSync(join(webRoot, 'index.html')))
    throw new InputError('view: the web app is not built; run npm run build:web first', {
      id: 'app-not-built',
    });
  const runs = await RunsFolder.open(options.folder);
  const token = randomBytes(24).toString('base64url');
  const finds = new Finds(runs, options);
  const processes = new ModelProcesses();
  const control = new RunControl(runs);
  let port = 0;
  const app = createViewApp({
    runs,
    finds,
    processes,
    control,
    webRoot,
    guard: makeGuard(token, () => port, options),
    version: options.version ?? '',
  });
  const server = await listen(app.fetch, options.port);
  port = (server.address() as AddressInfo).port;
  const isFleet = (await runs.fleetNames()).includes(runs.only ?? '');
  const path =
    runs.only === undefined ? '/' : `/${isFleet ? 'fleet' : 'run'}/${encodeURIComponent(runs.only)}`;
  return {
    port,
    token,
    url: `http://127.0.0.1:${port}${path}?token=${token}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      if ('closeAllConnections' in server) server.closeAllConnections();
      await Promise.all([closed, processes[Symbol.asyncDispose](), control[Symbol.asyncDispose]()]);
    },
  };
}

async function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  port: number | undefined,
): Promise<ServerType> {
  try {
    return await bind(fetch, port ?? PORT);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    if (port === undefined) return bind(fetch, 0);
    throw new InputError(`--port ${port}: taken by another program; leave it out to get a free one`, {
      id: 'port-taken',
      cause,
    });
  }
}

function bind(fetch: (request: Request) => Response | Promise<Response>, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, port, hostname: '127.0.0.1' }, () => resolve(server));
    server.once('error', reject);
  });
}
