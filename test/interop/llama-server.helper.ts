/** @file llama.cpp's own server as a child process, for the checks beside this file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** A running server. Dispose of it. */
export interface LlamaServer extends AsyncDisposable {
  readonly url: string;
  post(path: string, body: object): Promise<unknown>;
}

/** Start the program LLAMA_SERVER (default: llama-server) on a free port, on the processor's two threads; `args` are its own. */
export async function startLlamaServer(model: string, args: readonly string[] = []): Promise<LlamaServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const all = ['-m', model, '--host', '127.0.0.1', '--port', `${port}`, '-ngl', '0', '-t', '2', ...args];
  const child = spawn(process.env.LLAMA_SERVER ?? 'llama-server', all, {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    said = `${said}${piece.toString()}`.slice(-4000);
  });
  const exit = once(child, 'exit');
  while (
    !(await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode}: ${said}`);
    await pause(100);
  }
  return {
    url,
    async post(path, body) {
      const answer = await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return answer.json();
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await exit;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
