/**
 * @file A server that answers, but with an error of its own: its tables are gone, its disk is full, it lets nobody write. What passes is waited for; what
 * stays ends the run. A server that does not answer at all is another matter: its clients wait until it is back.
 */
import { InputError } from '../../base/index.ts';
import type { QueueAddress } from './address.ts';

export class Refusal {
  readonly #address: Pick<QueueAddress, 'server' | 'shown'>;
  readonly #patienceMs: number;
  #since: number | undefined;

  constructor(address: Pick<QueueAddress, 'server' | 'shown'>, patienceMs: number) {
    this.#address = address;
    this.#patienceMs = patienceMs;
  }

  /** The server did what it was asked for. */
  clear(): void {
    this.#since = undefined;
  }

  /** It refused with `error`: what to end the run with, once it has done nothing else for too long. */
  heard(error: unknown): InputError | undefined {
    this.#since ??= performance.now();
    const seconds = (performance.now() - this.#since) / 1000;
    if (1000 * seconds < this.#patienceMs) return undefined;
    const { server, shown } = this.#address;
    return new InputError(
      `${shown}: ${server} refuses what the queue asks of it, for ${seconds.toFixed(0)} s now; mend that and run again: what was computed is kept, and tables that are gone are made`,
      { id: 'queue-unreachable', cause: error },
    );
  }
}
