/** @file Options whose packages are not installed end in the line that installs them, at the versions that are tested here. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FROM_SOURCE } from './program.helper.ts';

const { devDependencies } = JSON.parse(
  await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
) as { devDependencies: Record<string, string> };

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-optional-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Starts Node as it is where `name` is not installed. */
function without(name: string): string {
  const hook = `export async function resolve(specifier, context, next) {
    if (specifier === ${JSON.stringify(name)})
      throw Object.assign(new Error("Cannot find package '" + specifier + "'"), { code: 'ERR_MODULE_NOT_FOUND' });
    return next(specifier, context);
  }`;
  const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
  return url(`import { register } from 'node:module'; register(${JSON.stringify(url(hook))});`);
}

it.each([
  ['bullmq', ['--queue', 'redis://127.0.0.1:1'], ['bullmq', 'ioredis']],
  ['ioredis', ['--queue', 'redis://127.0.0.1:1'], ['bullmq', 'ioredis']],
  ['bullmq', ['--queue', 'postgres://me@127.0.0.1:1/queue'], ['bullmq', 'pg']],
  ['pg', ['--queue', 'postgres://me@127.0.0.1:1/queue'], ['bullmq', 'pg']],
  ['@aws-sdk/client-s3', ['--store', 's3://bucket/x'], ['@aws-sdk/client-s3', '@aws-sdk/lib-storage']],
  ['@aws-sdk/lib-storage', ['--store', 's3://bucket/x'], ['@aws-sdk/client-s3', '@aws-sdk/lib-storage']],
])('without %s, %j names %j', async (missing, option, wanted) => {
  const args = [...FROM_SOURCE, 'run', 'quick', '--out', join(root, 'run'), ...option];
  const child = spawn(process.execPath, ['--import', without(missing), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text: Buffer) => {
    said += text;
  });
  expect(await once(child, 'close')).toEqual([2, null]);
  const install = `npm install --ignore-scripts ${wanted.map((name) => `${name}@${devDependencies[name]}`).join(' ')}`;
  expect(said.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^error: --(queue|store).*: the packages it needs are not installed; /),
  ]);
  expect(said).toContain(install);
  expect(said).toContain('[package-missing]');
});
