/**
 * @file Where the queue is: a Redis address, read from the command line and shown without its password. Public types lead here, so this file
 * names no optional package.
 */
import { InputError } from '../../base/index.ts';

/** A Redis server. `options` holds the password: it is handed to the client, and never printed or written. */
export interface QueueAddress {
  /** As messages name it: no user, no password. */
  readonly shown: string;
  readonly options: RedisOptions;
}

interface RedisOptions {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly db: number;
  readonly tls?: Record<never, never> | undefined;
}

const WANTED = 'wanted redis://host:port, or rediss:// for TLS, with /N behind it for another database';
const DEFAULT_PORT = 6379;

/** Read a `--queue`. `password` replaces that of the address. The text itself is in no message: it may hold a password. */
export function parseQueueAddress(text: string, password?: string): QueueAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const database = /^\/?(\d*)$/.exec(url?.pathname ?? '')?.[1];
  if (url === undefined || !['redis:', 'rediss:'].includes(url.protocol) || database === undefined)
    throw new InputError(`--queue: ${WANTED}${url ? `, got ${url.protocol}//…` : ''}`, {
      id: 'option-invalid',
    });
  const host = url.hostname === '' ? '127.0.0.1' : url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? DEFAULT_PORT : Number(url.port);
  return {
    shown: `${url.protocol}//${url.hostname === '' ? host : url.hostname}:${port}${database === '' ? '' : `/${database}`}`,
    options: {
      host,
      port,
      username: decodeURIComponent(url.username) || undefined,
      password: (password ?? decodeURIComponent(url.password)) || undefined,
      db: Number(database),
      tls: url.protocol === 'rediss:' ? {} : undefined,
    },
  };
}
