/** @file A port in front of a server that turns some connections away, as a server does that is away just then. */
import { connect, createServer, type Socket } from 'node:net';

export interface Door {
  readonly port: number;
  /** Connections that came so far, with those turned away. */
  readonly count: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A port of this machine that leads to port `target` for the connections that `lets` lets in, by their number, from 1. */
export async function openDoor(target: number, lets: (n: number) => boolean): Promise<Door> {
  const open = new Set<Socket>();
  let count = 0;
  const server = createServer((near) => {
    near.on('error', () => {});
    if (!lets(++count)) {
      near.destroy();
      return;
    }
    const far = connect(target, '127.0.0.1');
    far.on('error', () => {});
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      open.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    get count() {
      return count;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
