/** @file A real S3 server for tests: an s3rver of its own on a free port, which checks signatures and keeps its objects in a folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const BUCKET = 'shared';
const KEY = 'TESTKEY';
export const SECRET = 'a-secret-that-nobody-may-print';

export interface TestS3 {
  readonly port: number;
  /** What a process needs to reach it. */
  readonly env: Readonly<Record<string, string>>;
  /** Where the object `key` lies on disk. */
  file(key: string): string;
  /** Kill it. */
  stop(): Promise<void>;
  /** Start it again on the same port, with what it held. */
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const SERVER = `
const { DUMMY_ACCOUNT } = require('@20minutes/s3rver/lib/models/account');
const S3rver = require('@20minutes/s3rver');
const [directory, port] = process.argv.slice(1);
DUMMY_ACCOUNT.createKeyPair('${KEY}', '${SECRET}');
const options = { address: '127.0.0.1', port: Number(port), silent: true, directory, vhostBuckets: false };
new S3rver({ ...options, configureBuckets: [{ name: '${BUCKET}' }] }).run().then((at) => console.log(at.port));
`;

/** Start one that keeps its objects in `folder`. */
export async function startS3(folder: string): Promise<TestS3> {
  let server: ChildProcess;
  let port = 0;
  const start = async (): Promise<void> => {
    server = spawn(process.execPath, ['-e', SERVER, folder, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: import.meta.dirname,
    });
    const [line] = await once(createInterface({ input: server.stdout! }), 'line');
    port = Number(line);
  };
  const stop = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill('SIGKILL');
    await once(server, 'exit');
  };
  await start();
  return {
    port,
    env: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: KEY,
      AWS_SECRET_ACCESS_KEY: SECRET,
      // Nothing of the machine's own account is read.
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    file: (key) => join(folder, BUCKET, `${key}._S3rver_object`),
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}
