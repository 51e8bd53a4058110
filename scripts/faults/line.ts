/** @file A line between two programs that can be cut: a TCP proxy on a port of its own, which while it is cut takes in everything and passes on nothing. */
import { connect, createServer, type Socket } from 'node:net';

export interface Line {
  readonly port: number;
  cut(): void;
  /** What was open when the line was cut is closed now. */
  mend(): void;
  close(): void;
}

/** A line to port `target` of this machine, from a port that `host` reaches. */
export async function openLine(target: number, host = '127.0.0.1'): Promise<Line> {
  const open = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    const pair = [near, far] as const;
    for (const [from, to] of [pair, [far, near] as const]) {
      open.add(from);
      from.on('data', (bytes) => {
        if (!isCut) to.write(bytes);
      });
      from.on('error', () => {});
      from.on('close', () => {
        open.delete(from);
        if (!isCut) to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const dropAll = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    cut: () => {
      isCut = true;
    },
    mend: () => {
      dropAll();
      isCut = false;
    },
    close: () => {
      server.close();
      dropAll();
    },
  };
}
