/** @file Freeing an ArrayBuffer at once, instead of when the collector gets to it. */
import { MessageChannel } from 'node:worker_threads';

/**
 * Detach and free `buffer`; views of it become empty.
 *
 * The runtime's Node binding copies every output into a fresh array, also where it has written it into a target. Left to the
 * collector, megabytes a call pile up: the next copy then goes to memory that was never touched, which costs seven times as much
 * (measured: 0.86 against 0.12 ms for 4 MB), and full collections follow one another.
 */
export const discard: (buffer: ArrayBuffer) => void = freeing();

function freeing(): (buffer: ArrayBuffer) => void {
  // ES2024, Node ≥ 22.
  if ('transfer' in ArrayBuffer.prototype) {
    const transfer = ArrayBuffer.prototype.transfer as (this: ArrayBuffer, length: number) => ArrayBuffer;
    return (buffer) => void transfer.call(buffer, 0);
  }
  // What is posted to a closed port is detached from the sender and dropped.
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.unref();
  return (buffer) => port1.postMessage(null, [buffer]);
}
