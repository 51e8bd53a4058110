/**
 * @file A pool of connections to PostgreSQL that waits while the server is away, as clients of Redis do: a command that meets no server, or one
 * that is starting or stopping, is sent again until it is answered. BullMQ's own handling would count such a command's stage as failed.
 */
import { EventEmitter } from 'node:events';
import type { PgPool, PgPoolClient, PgQueryResult } from 'bullmq';
import type { Pool } from 'pg';

/** How long is waited before a command is sent again. */
const RETRY_MS = 1000;
/** How long closing may take. */
const END_MS = 2000;
/** Classes of what a server says when it cannot serve now: connection lost, too many connections, stopping or starting. */
const AWAY = /^(08|53|57P)/;
/** How what the client itself says of a lost connection begins. */
const CUT_OFF = /^(Connection terminated|timeout exceeded|Query read timeout|Client has encountered)/;

/** Emits `error` for every command that meets no server. */
export class PatientPool extends EventEmitter implements PgPool {
  readonly #pool: Pool;
  readonly #DatabaseError: typeof import('pg').DatabaseError;
  #isEnded = false;

  constructor(pool: Pool, DatabaseError: typeof import('pg').DatabaseError) {
    super();
    this.#pool = pool;
    this.#DatabaseError = DatabaseError;
    pool.on('error', (error) => this.emit('error', error));
    this.on('error', () => {});
  }

  get options() {
    return { max: this.#pool.options.max, keepAlive: true };
  }

  query(text: string, values?: unknown[]): Promise<PgQueryResult> {
    return this.#patiently(() => this.#pool.query(text, values) as Promise<PgQueryResult>);
  }

  connect(): Promise<PgPoolClient> {
    return this.#patiently(() => this.#pool.connect() as Promise<PgPoolClient>);
  }

  /** Connections that still wait for an answer are left to their own deadline. */
  async end(): Promise<void> {
    this.#isEnded = true;
    const late = new Promise((resolve) => setTimeout(resolve, END_MS).unref());
    await Promise.race([this.#pool.end(), late]);
  }

  async #patiently<T>(act: () => Promise<T>): Promise<T> {
    for (;;)
      try {
        return await act();
      } catch (error) {
        if (this.#isEnded || !this.#isAway(error as Error)) throw error;
        this.emit('error', error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        if (this.#isEnded) throw error;
      }
  }

  #isAway(error: Error & { readonly code?: string }): boolean {
    if (error instanceof this.#DatabaseError) return AWAY.test(error.code ?? '');
    return /^E[A-Z]+/.test(error.code ?? '') || CUT_OFF.test(error.message);
  }
}
