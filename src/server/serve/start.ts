/** @file Starts the OpenAI-compatible server. */

import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServerType, serve } from '@hono/node-server';
import { InputError, type Owned } from '../../base/index.ts';
import type { WeightsForm } from '../../models/index.ts';
import type { EngineInfo, EngineSettings, TemplateOption } from '../../pipeline/index.ts';
import { createServeApp, type ServeApp } from './app.ts';
import { EngineProcess } from './engine-process.ts';
import { type NamedSteering, SteeringTable } from './steering-table.ts';

/** Where a server listens, and what it allows. */
export interface ServeLimits {
  readonly template: TemplateOption;
  readonly system?: string | undefined;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly maxBody: number;
  readonly maxTokens: number;
  readonly queue: number;
  readonly batch: number;
  readonly maxDose: number;
  readonly timeout: number;
}

/** How a model is served. */
export interface ServeOptions extends ServeLimits {
  /** Path of a model: folder or GGUF file. */
  readonly model: string;
  /** How a quantised GGUF is held. */
  readonly weights?: WeightsForm | undefined;
  readonly arithmetic?: EngineSettings['arithmetic'];
  /** What fast arithmetic is compared with exact on: what users may say. */
  readonly guardTexts?: readonly string[] | undefined;
  /** What clients call it. Defaults to the path's last part without `.gguf`. */
  readonly name?: string | undefined;
  readonly steering?: ReadonlyMap<string, NamedSteering>;
  /** Name of the steering for requests that say nothing. */
  readonly defaultSteering?: string | undefined;
  readonly apiKey?: string | undefined;
}

/** A running server. Dispose of it to stop at once. */
export interface ModelServer extends Owned {
  readonly port: number;
  readonly url: string;
  readonly name: string;
  /** What the comparison before fast arithmetic found. */
  readonly guarded: EngineInfo['guarded'];
  /** Process that holds the model; another after it died. */
  enginePid(): number | undefined;
  /** Take no new requests and wait for those under way, at most so many seconds. */
  drain(seconds: number): Promise<void>;
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

/** Start. Throws {@link InputError} for a model that cannot be opened, a port that is taken, an open server without a key. */
export async function startModelServer(options: ServeOptions): Promise<ModelServer> {
  const { host, apiKey, steering = new Map(), defaultSteering } = options;
  const isLocal = LOOPBACK.includes(host);
  if (!isLocal && apiKey === undefined)
    throw new InputError(`--host ${host}: others can reach it; give --api-key-env as well`, {
      id: 'option-missing',
    });
  if (defaultSteering !== undefined && !steering.has(defaultSteering))
    throw new InputError(
      `--default ${defaultSteering}: there is no steering of this name; known are ${[...steering.keys()].join(', ') || 'none'}`,
      { id: 'option-invalid' },
    );
  const name = options.name ?? basename(options.model).replace(/\.gguf$/i, '');
  const table = new SteeringTable(name, steering, defaultSteering);
  const engine = await EngineProcess.start({ ...options, known: [...steering.values()] });
  let port = 0;
  const served = createServeApp({
    ...options,
    engine,
    table,
    hosts: isLocal ? () => [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`] : undefined,
  });
  let server: ServerType;
  try {
    server = await listen(served, options);
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
  port = (server.address() as AddressInfo).port;
  return {
    port,
    name,
    guarded: engine.info.guarded,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/v1`,
    enginePid: () => engine.pid,
    drain: async (seconds) => {
      served.drain();
      const until = performance.now() + 1000 * seconds;
      while (served.inFlight() > 0 && performance.now() < until) await sleep(20);
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      if ('closeAllConnections' in server) server.closeAllConnections();
      await Promise.all([closed, engine[Symbol.asyncDispose]()]);
    },
  };
}

function listen({ app }: ServeApp, { host, port }: ServeOptions): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, port, hostname: host }, () => resolve(server));
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === 'EADDRINUSE'
          ? new InputError(`--port ${port}: taken by another program; choose another, or 0 for a free one`, {
              id: 'port-taken',
              cause,
            })
          : cause,
      );
    });
  });
}
