/** @file A real Redis for tests: a `redis-server` of its own on a free port. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './ports.ts';
import type { QueueTestServer } from './queue-server.ts';

/** Start one that asks for `password` and keeps its data in `folder`. */
export async function startRedis(folder: string, password: string): Promise<QueueTestServer> {
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--requirepass', password];
  args.push('--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always');
  let server = await launch(args);
  return {
    url: `redis://127.0.0.1:${port}`,
    urlWithPassword: `redis://:${password}@127.0.0.1:${port}`,
    port,
    restart: async (how) => {
      await end(server);
      if (how === 'forgets') await rm(join(folder, 'appendonlydir'), { recursive: true });
      server = await launch(args);
    },
    [Symbol.asyncDispose]: () => end(server),
  };
}

async function launch(args: readonly string[]): Promise<ChildProcess> {
  const server = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)));
    createInterface({ input: server.stdout! }).on('line', (line) => {
      if (line.includes('Ready to accept connections')) resolve();
    });
  });
  return server;
}

async function end(server: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
}
