/** @file A worker of a queue as a process of its own, for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { FROM_SOURCE } from '../e2e/program.helper.ts';

export interface TestWorkerSettings {
  /** Without its password. */
  readonly url: string;
  readonly password: string;
  readonly store: string;
  /** Hears what it says. */
  readonly onSaid?: (text: string) => void;
}

/** Resolves when it takes jobs. It can hold 2 GB, and its locks last 10 s. */
export async function startQueueWorker(settings: TestWorkerSettings): Promise<ChildProcess> {
  const { url, password, store, onSaid } = settings;
  const command = [...FROM_SOURCE, 'worker', '--queue', url, '--store', store];
  const limits = ['--lock', '10', '--drain', '0', '--memory', '2', '--queue-password-env', 'QUEUE_PASSWORD'];
  const worker = spawn(process.execPath, [...command, ...limits], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, QUEUE_PASSWORD: password },
  });
  let said = '';
  await new Promise<void>((resolve, reject) => {
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}: ${said}`)));
    worker.stderr!.on('data', (text: Buffer) => {
      said += text;
      onSaid?.(`${text}`);
      if (said.includes(`${worker.pid}: 2.0 GB`)) resolve();
    });
  });
  return worker;
}
