/**
 * @file Where the queue is: an address of a Redis or a PostgreSQL, read from the command line and shown without its password. Public types lead
 * here, so this file names no optional package.
 */
import { InputError } from '../../base/index.ts';

/** A queue's server. `options` holds the password: it is handed to the client, and never printed or written. */
export type QueueAddress = RedisAddress | PostgresAddress;

export interface RedisAddress extends Shown {
  readonly server: 'Redis';
  readonly options: {
    readonly host: string;
    readonly port: number;
    readonly username?: string | undefined;
    readonly password?: string | undefined;
    readonly db: number;
    readonly tls?: Record<never, never> | undefined;
  };
}

export interface PostgresAddress extends Shown {
  readonly server: 'PostgreSQL';
  readonly options: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password?: string | undefined;
    readonly database: string;
    /** Undefined: not encrypted. */
    readonly ssl?: { readonly rejectUnauthorized: boolean } | undefined;
  };
}

interface Shown {
  /** As messages name it: no user, no password. */
  readonly shown: string;
}

const WANTED =
  'wanted redis://host:port, or rediss:// for TLS, with /N behind it for another database; or postgres://user@host:port/database, with ?sslmode=require or verify-full for TLS';

/** What `sslmode` says, in the words of PostgreSQL's own programs. */
const SSL_MODES: Readonly<Record<string, PostgresAddress['options']['ssl']>> = {
  disable: undefined,
  require: { rejectUnauthorized: false },
  'verify-full': { rejectUnauthorized: true },
};

/** Read a `--queue`. `password` replaces that of the address. The text itself is in no message: it may hold a password. */
export function parseQueueAddress(text: string, password?: string): QueueAddress {
  const url = URL.canParse(text) && isEncoded(text) ? new URL(text) : undefined;
  const address = url && (readRedis(url, password) ?? readPostgres(url, password));
  if (address === undefined)
    throw new InputError(`--queue: ${WANTED}${url ? `, got ${url.protocol}//…` : ''}`, {
      id: 'option-invalid',
    });
  return address;
}

function readRedis(url: URL, password: string | undefined): RedisAddress | undefined {
  const database = /^\/?(\d*)$/.exec(url.pathname)?.[1];
  if (!['redis:', 'rediss:'].includes(url.protocol) || database === undefined) return undefined;
  const { host, port, shown } = placeOf(url, 6379);
  return {
    server: 'Redis',
    shown: `${url.protocol}//${shown}${database === '' ? '' : `/${database}`}`,
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

function readPostgres(url: URL, password: string | undefined): PostgresAddress | undefined {
  const database = decodeURIComponent(url.pathname.slice(1));
  const mode = url.searchParams.get('sslmode') ?? 'disable';
  const isKnown = [...url.searchParams.keys()].every((name) => name === 'sslmode') && mode in SSL_MODES;
  if (!['postgres:', 'postgresql:'].includes(url.protocol) || !isKnown) return undefined;
  if (url.username === '' || database === '' || database.includes('/')) return undefined;
  const { host, port, shown } = placeOf(url, 5432);
  return {
    server: 'PostgreSQL',
    shown: `postgres://${shown}/${database}`,
    options: {
      host,
      port,
      user: decodeURIComponent(url.username),
      password: (password ?? decodeURIComponent(url.password)) || undefined,
      database,
      ssl: SSL_MODES[mode],
    },
  };
}

/** Whether every `%` begins an escaped character. */
function isEncoded(text: string): boolean {
  try {
    return decodeURIComponent(text) !== '';
  } catch {
    return false;
  }
}

function placeOf(url: URL, defaultPort: number) {
  const host = url.hostname === '' ? '127.0.0.1' : url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? defaultPort : Number(url.port);
  return { host, port, shown: `${url.hostname === '' ? host : url.hostname}:${port}` };
}
