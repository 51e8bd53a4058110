/**
 * @file Which workers are there. Each says every few seconds what it can hold, with a lease that the server's clock ends: one that was killed or
 * cut off is gone a lease later, and one that stops takes its word back. The place is BullMQ's own register of nodes, so it is the same on every
 * kind of server, and BullMQ's names of connections, of which a server may keep only the beginning, carry nothing.
 */
import { createHash } from 'node:crypto';
import type { IRelayBackend } from 'bullmq';
import { type Capacity, capacitySchema, workerName } from './capacity.ts';
import type { Connected } from './connect.ts';

/** How long a worker's word holds, and how often it is given, in milliseconds. */
export const LEASE_MS = 15_000;
const BEAT_MS = 4000;
/** Most workers that are gone for longer, of any queue, which a new one removes. */
const SWEPT = 100;

/** Say that `capacity` is there, now and until it is closed, which takes it back. What a server that is away does not hear is said again later. */
export async function announce(register: IRelayBackend, capacity: Capacity): Promise<Connected> {
  const id = nodeId(capacity);
  let saying: Promise<void> | undefined;
  const say = () => {
    saying ??= register.registerNode(id, LEASE_MS, capacity).finally(() => {
      saying = undefined;
    });
    return saying;
  };
  await register.sweep(SWEPT).catch(() => {});
  await say().catch(() => {});
  const timer = setInterval(() => void say().catch(() => {}), BEAT_MS);
  return {
    close: async () => {
      clearInterval(timer);
      await saying?.catch(() => {});
      await register.unregisterNode(id);
    },
    disconnect: async () => clearInterval(timer),
  };
}

/** The workers that are there. */
export async function workersThere(register: IRelayBackend): Promise<Capacity[]> {
  const nodes = await register.getNodes(0, -1);
  return nodes.flatMap(({ info, lastHeartbeat }) => {
    const capacity = lastHeartbeat === undefined ? undefined : capacitySchema.safeParse(info).data;
    return capacity === undefined ? [] : [capacity];
  });
}

/** A register takes letters, digits, `-` and `_`, at most 64; names of machines have dots. */
function nodeId(capacity: Capacity): string {
  return createHash('sha256').update(workerName(capacity)).digest('hex').slice(0, 32);
}
