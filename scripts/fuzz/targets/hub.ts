/** @file Answers of the hub, from a server on this machine that lies: listings, headers, redirects, lengths, bodies. */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Rng } from '../../../src/base/index.ts';
import { pullModel } from '../../../src/models/hub/pull.ts';
import { mostly, mutateJson, mutateText } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

interface Answers {
  readonly listing: unknown;
  readonly headers: Record<string, string>;
  readonly status: number;
  readonly body: string;
}

const SHA = '0123456789abcdef0123456789abcdef01234567';
const BODY = '{"model_type": "llama"}';
const etag = createHash('sha1').update(`blob ${BODY.length}\0${BODY}`).digest('hex');
const WORDS = [
  '"',
  'W/',
  '-1',
  '0',
  '999999999999',
  'data:text/plain,x',
  'http://127.0.0.1:1/',
  '../x',
  'bytes 0-5/23',
  '%00',
];

export const start: StartTarget = async (scratch) => {
  let answers: Answers;
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/api/')) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answers.listing) ?? '');
      return;
    }
    try {
      response.writeHead(answers.status, answers.headers);
    } catch {
      response.writeHead(500);
    }
    response.end(request.method === 'HEAD' ? undefined : answers.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const listing = { sha: SHA, siblings: [{ rfilename: 'config.json' }, { rfilename: 'README.md' }] };
  const headers = { etag: `"${etag}"`, 'content-length': String(BODY.length), 'x-repo-commit': SHA };
  const sound: Answers = { listing, headers, status: 200, body: BODY };
  const cacheDir = join(scratch, 'hub');
  const damaged = (rng: Rng): Answers => {
    const move = rng.int(5);
    if (move === 0) return { ...sound, listing: mutateJson(rng, listing) };
    if (move === 1)
      return { ...sound, status: rng.pick([204, 206, 301, 302, 400, 401, 403, 404, 416, 429, 500]) };
    if (move === 2) return { ...sound, body: mutateText(rng, BODY, WORDS) };
    const name = rng.pick([
      'etag',
      'content-length',
      'x-repo-commit',
      'location',
      'x-linked-etag',
      'x-linked-size',
      'content-range',
      'retry-after',
    ]);
    const value = mutateText(rng, (headers as Record<string, string>)[name] ?? 'x', WORDS).replace(
      /[^\x20-\x7e]/g,
      '',
    );
    return { ...sound, status: rng.pick([200, 200, 206, 302]), headers: { ...headers, [name]: value } };
  };
  return target<Answers>({
    sources: /\/src\/models\/hub\//,
    make: (rng) => mostly(rng, 10, sound, () => damaged(rng)),
    size: (given) => JSON.stringify(given).length,
    async attempt(given) {
      answers = given;
      await rm(cacheDir, { recursive: true, force: true });
      await pullModel('org/name', {
        endpoint,
        cacheDir,
        files: () => true,
        attempts: 2,
        retryDelayMs: 1,
        stallMs: 200,
        env: {},
      });
    },
  });
};
