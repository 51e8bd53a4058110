/** @file Pulling from a local server that speaks the hub's protocol, and misbehaves when told to. */
import { createHash } from 'node:crypto';
import {
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { errorLine, InputError, type ProgressEvent } from '../../base/index.ts';
import { gitSha, HubServer, type SeenRequest } from './hub-server.helper.ts';
import { wantedFiles } from './listing.ts';
import { locateModel, type PullOptions, pullModel, surveyModel } from './pull.ts';
import { isPath, parseHubReference } from './reference.ts';

const SHA = 'c0ffee'.padEnd(40, '0');
const weights = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 37) & 255));
const files: Record<string, Buffer> = {
  'config.json': Buffer.from('{"model_type":"llama"}'),
  'tokenizer.json': Buffer.from('{}'),
  'model.safetensors': weights,
  'merges.txt': Buffer.alloc(0),
  'README.md': Buffer.from('read me'),
  'onnx/model.onnx': Buffer.from('x'),
};
const repository = { sha: SHA, files, refs: ['main', 'v1'] };

/** Send the headers of a whole file but only `n` of its bytes, then cut the connection. */
function cutAfter(n: number, response: ServerResponse, { range }: SeenRequest): void {
  const start = range === undefined ? 0 : Number(/\d+/.exec(range)![0]);
  response.writeHead(range === undefined ? 200 : 206, {
    'content-length': weights.length - start,
    ...(range === undefined
      ? {}
      : { 'content-range': `bytes ${start}-${weights.length - 1}/${weights.length}` }),
  });
  response.write(weights.subarray(start, start + n), () => setTimeout(() => response.destroy(), 20));
}

let hub: HubServer;
let cacheDir: string;
let options: PullOptions;
beforeEach(async () => {
  hub = new HubServer({ 'org/name': repository });
  await hub.start();
  cacheDir = await mkdtemp(join(tmpdir(), 'hub-'));
  options = { endpoint: hub.endpoint, cacheDir, retryDelayMs: 1, env: { HF_HOME: cacheDir } };
});
afterEach(async () => {
  await hub.stop();
  await rm(cacheDir, { recursive: true });
});

const isWeights = (seen: SeenRequest): boolean =>
  seen.method === 'GET' && seen.path === '/store/org/name/model.safetensors';
const pulledWeights = async (folder: string): Promise<boolean> =>
  weights.equals(await readFile(join(folder, 'model.safetensors')));

describe('a pull', () => {
  test('fetches what a model needs into the layout of the hub cache; again it fetches nothing', async () => {
    const events: ProgressEvent[] = [];
    const folder = await pullModel('org/name', { ...options, onProgress: (e) => void events.push(e) });
    expect(folder).toBe(join(cacheDir, 'models--org--name', 'snapshots', SHA));
    expect((await readdir(folder)).sort()).toEqual([
      'config.json',
      'merges.txt',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(await pulledWeights(folder)).toBe(true);
    expect((await lstat(join(folder, 'model.safetensors'))).isSymbolicLink()).toBe(true);
    expect(await readdir(join(folder, '../../blobs'))).toContain(
      createHash('sha256').update(weights).digest('hex'),
    );
    expect(await readdir(join(folder, '../../blobs'))).toContain(gitSha(files['config.json']));
    expect(await readFile(join(folder, '../../refs/main'), 'utf8')).toBe(SHA);
    expect(events.at(-1)!.done).toBe(events.at(-1)!.total);

    const gets = hub.seen.filter((s) => s.method === 'GET').length;
    expect(await pullModel('org/name@v1', options)).toBe(folder);
    expect(hub.seen.filter((s) => s.method === 'GET').length).toBe(gets + 1); // the listing
  });

  test('the token goes to the hub, never to the host it redirects to', async () => {
    await pullModel('org/name', { ...options, env: { HF_TOKEN: 'secret' } });
    const atStore = hub.seen.filter((s) => s.path.startsWith('/store/'));
    expect(atStore.length).toBeGreaterThan(0);
    expect(atStore.every((s) => s.authorization === undefined)).toBe(true);
    expect(
      hub.seen.filter((s) => !atStore.includes(s)).every((s) => s.authorization === 'Bearer secret'),
    ).toBe(true);
  });

  test('a login of Hugging Face’s own program is used where $HF_TOKEN is not set', async () => {
    const sent = async (env: PullOptions['env']): Promise<Set<string | undefined>> => {
      hub.seen.length = 0;
      await pullModel('org/name', { ...options, env });
      return new Set(hub.seen.filter((s) => !s.path.startsWith('/store/')).map((s) => s.authorization));
    };
    await writeFile(join(cacheDir, 'token'), 'login\n');
    await writeFile(join(cacheDir, 'other'), 'elsewhere');
    expect(await sent({ HF_HOME: cacheDir })).toEqual(new Set(['Bearer login']));
    expect(await sent({ HF_HOME: cacheDir, HF_TOKEN: 'given' })).toEqual(new Set(['Bearer given']));
    expect(await sent({ HF_HOME: cacheDir, HF_TOKEN_PATH: join(cacheDir, 'other') })).toEqual(
      new Set(['Bearer elsewhere']),
    );
  });

  test('a survey leaves the weights out and says their size; a pull fetches the rest', async () => {
    const surveyed = await surveyModel('org/name', options);
    expect(surveyed.missingBytes).toBe(weights.length);
    expect((await readdir(surveyed.path)).sort()).toEqual(['config.json', 'merges.txt', 'tokenizer.json']);
    expect(hub.gets()).toEqual([]);
    await expect(pullModel('org/name', { ...options, offline: true })).rejects.toThrow(/no such revision/);

    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      if (seen.range === undefined) cutAfter(50_000, response, seen);
      else response.destroy();
      return true;
    };
    await expect(pullModel('org/name', { ...options, attempts: 2 })).rejects.toThrow(/was cut|failed/);
    hub.mischief = () => false;
    expect(await surveyModel('org/name', options)).toEqual({
      path: surveyed.path,
      missingBytes: weights.length - 50_000,
    });
    expect(await pullModel('org/name', options)).toBe(surveyed.path);
    expect(await surveyModel('org/name', options)).toEqual({ path: surveyed.path, missingBytes: 0 });
    expect(hub.gets()).toHaveLength(3);
  });

  test('only the files asked for, in folders too', async () => {
    const folder = await pullModel('org/name', { ...options, files: (f) => f.endsWith('.onnx') });
    expect(await readdir(folder)).toEqual(['onnx']);
    expect(await readFile(join(folder, 'onnx/model.onnx'), 'utf8')).toBe('x');
  });
});

describe('trouble', () => {
  test('cut connections: every try goes on where the last stopped', async () => {
    let cuts = 0;
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen) || ++cuts > 9) return false; // more cuts than tries without progress
      cutAfter(20_000, response, seen);
      return true;
    };
    const folder = await pullModel('org/name', { ...options, attempts: 3 });
    expect(await pulledWeights(folder)).toBe(true);
    const starts = hub.gets('model.safetensors').map((s) => Number(s.range?.slice(6, -1) ?? 0));
    expect(starts).toHaveLength(10);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts.at(-1)).toBe(180_000);
  });

  test('giving up keeps what came, and the next pull resumes it', async () => {
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      if (seen.range === undefined) cutAfter(50_000, response, seen);
      else response.destroy();
      return true;
    };
    await expect(pullModel('org/name', { ...options, attempts: 2 })).rejects.toThrow(
      /\(2 times\); try again later/,
    );
    hub.mischief = () => false;
    expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
    expect(hub.gets('model.safetensors').at(-1)!.range).toBe('bytes=50000-');
  });

  test('a server that ignores ranges: the file is taken from its start', async () => {
    let first = true;
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      if (first) cutAfter(50_000, response, seen);
      else response.end(weights);
      first = false;
      return true;
    };
    expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
  });

  test('wrong bytes: fetched once more, then refused and not kept', async () => {
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      response.end(Buffer.alloc(weights.length));
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(
      /wanted checksum [0-9a-f]{64}, got [0-9a-f]{64} twice/,
    );
    const home = join(cacheDir, 'models--org--name');
    expect((await readdir(join(home, 'blobs'))).every((name) => name.length === 40)).toBe(true);
    expect(await readdir(home)).not.toContain('refs');

    let once = true;
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen) || !once) return false;
      once = false;
      response.end(Buffer.alloc(weights.length));
      return true;
    };
    expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
  });

  test('a small file is checked by its git hash', async () => {
    hub.mischief = (_, response, seen) => {
      if (seen.method !== 'GET' || !seen.path.endsWith('/config.json')) return false;
      response.end('{"model_type":"LLAMA"}');
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(/wanted checksum [0-9a-f]{40}, got/);
  });

  test('429 and 503 are waited out, as long as the server asks', async () => {
    let times = 0;
    hub.mischief = (_, response, seen) => {
      if (!(seen.path.startsWith('/api/') || isWeights(seen)) || times++ % 3 === 2) return false;
      response.writeHead(times % 2 === 0 ? 503 : 429, { 'retry-after': '0' }).end();
      return true;
    };
    expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
    expect(times).toBeGreaterThanOrEqual(6);
  });

  test('a silent server counts as a cut connection', async () => {
    let silent = 2;
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen) || silent === 0) return false;
      if (--silent === 0) response.write(weights.subarray(0, 1000)); // then nothing
      return true;
    };
    expect(await pulledWeights(await pullModel('org/name', { ...options, stallMs: 300 }))).toBe(true);
  });

  test('a server that answers 416 to everything ends, whatever it sends with it', async () => {
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      response.writeHead(416).end(weights.subarray(0, 10));
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(/status 416 \(6 times\)/);
    // Cut, refused, begun again: what was reached before is no progress.
    let requests = 0;
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      if (++requests > 50) throw new Error('it loops');
      if (seen.range === undefined) cutAfter(1000, response, seen);
      else response.writeHead(416).end();
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(/times\); try again later/);
    expect(requests).toBeLessThan(20);
  });

  test('a size below nothing is refused', async () => {
    hub.mischief = (_, response, seen) => {
      if (seen.method !== 'HEAD' || !seen.path.endsWith('model.safetensors')) return false;
      response
        .writeHead(302, { location: '/x', 'x-linked-etag': `"${'a'.repeat(64)}"`, 'x-linked-size': '-5' })
        .end();
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(
      /wanted a checksum and a size, got .* and -5 bytes/,
    );
  });

  test.each(['symlink', 'hard link'])(
    'a partial download that is a %s is not written through',
    async (kind) => {
      const victim = join(cacheDir, 'victim');
      await writeFile(victim, 'mine');
      const blobs = join(cacheDir, 'models--org--name', 'blobs');
      await mkdir(blobs, { recursive: true });
      const part = join(blobs, `${createHash('sha256').update(weights).digest('hex')}.part`);
      await (kind === 'symlink' ? symlink(victim, part) : link(victim, part));
      expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
      expect(await readFile(victim, 'utf8')).toBe('mine');
    },
  );

  test('a blob with one flipped bit is fetched again; offline it is named', async () => {
    const folder = await pullModel('org/name', options);
    const path = join(folder, 'model.safetensors');
    const { atime, mtime } = await stat(path);
    const flipped = Buffer.from(weights);
    flipped[777]! ^= 1;
    await writeFile(path, flipped);
    await utimes(path, atime, new Date(mtime.getTime() + 1));
    await expect(pullModel('org/name', { ...options, offline: true })).rejects.toThrow(
      /wanted model.safetensors whole, got an unfinished or damaged download/,
    );
    expect(await pulledWeights(await pullModel('org/name', options))).toBe(true);
  });

  test('a flipped bit in the cache of another program is named too, and not used', async () => {
    const home = join(cacheDir, 'hf');
    const folder = await pullModel('org/name', { ...options, cacheDir: join(home, 'hub') });
    const path = join(folder, 'model.safetensors');
    const env = { HF_HOME: home, CROSSPATCH_CACHE: join(cacheDir, 'own') };
    const elsewhere = { ...options, cacheDir: undefined, env };
    expect(await pullModel('org/name', { ...elsewhere, offline: true })).toBe(folder);
    const flipped = Buffer.from(weights);
    flipped[999]! ^= 4;
    await writeFile(path, flipped);
    const refusal = /wanted model.safetensors whole, got an unfinished or damaged download/;
    await expect(pullModel('org/name', { ...elsewhere, offline: true })).rejects.toThrow(refusal);
    const unreachable = { ...elsewhere, endpoint: 'http://127.0.0.1:9', attempts: 1 };
    await expect(pullModel('org/name', unreachable)).rejects.toThrow(refusal);
    const own = await pullModel('org/name', elsewhere);
    expect(own.startsWith(join(cacheDir, 'own'))).toBe(true);
    expect(await pulledWeights(own)).toBe(true);
    expect(await readFile(path)).toEqual(flipped);
  });

  test('a cache of another program whose names are no checksums is used as it is', async () => {
    const home = join(cacheDir, 'hf', 'hub', 'models--org--name');
    const snapshot = join(home, 'snapshots', SHA);
    for (const folder of [snapshot, join(home, 'blobs'), join(home, 'refs')])
      await mkdir(folder, { recursive: true });
    await writeFile(join(home, 'refs', 'main'), SHA);
    for (const name of ['config.json', 'model.safetensors']) {
      const blob = join(home, 'blobs', createHash('sha256').update(name).digest('hex'));
      await writeFile(blob, files[name]!);
      await symlink(blob, join(snapshot, name));
    }
    const env = { HF_HOME: join(cacheDir, 'hf'), CROSSPATCH_CACHE: join(cacheDir, 'own') };
    const elsewhere = { ...options, cacheDir: undefined, env, offline: true };
    expect(await pullModel('org/name', elsewhere)).toBe(snapshot);
    for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE']) {
      const shared = { ...elsewhere, env: { [name]: join(cacheDir, 'hf', 'hub') } };
      expect(await pullModel('org/name', shared), name).toBe(snapshot);
    }
    await rm(join(snapshot, 'model.safetensors'));
    await symlink(join(home, 'blobs', 'gone'), join(snapshot, 'model.safetensors'));
    await expect(pullModel('org/name', elsewhere)).rejects.toThrow(/wanted model.safetensors whole/);
  });

  test('a cache that was copied without its links is told by the file', async () => {
    const home = join(cacheDir, 'hf', 'hub', 'models--org--name');
    const snapshot = join(home, 'snapshots', SHA);
    await mkdir(snapshot, { recursive: true });
    for (const name of ['config.json', 'model.safetensors'])
      await writeFile(join(snapshot, name), `../../blobs/${'a'.repeat(64)}`);
    const env = { HF_HOME: join(cacheDir, 'hf'), CROSSPATCH_CACHE: join(cacheDir, 'own') };
    const revision = `org/name@${SHA}`;
    await expect(
      pullModel(revision, { ...options, cacheDir: undefined, env, offline: true }),
    ).rejects.toThrow(/config\.json: wanted a link to a blob, got a text that names one; .*cp -a/);
  });

  test.each([
    ['data:text/plain,x', /to data:/],
    ['file:///etc/passwd', /to file:/],
    ['http://[', /no address/],
  ])('a redirect to %s is refused', async (location, message) => {
    hub.mischief = (_, response, seen) => {
      if (!isWeights(seen)) return false;
      response.writeHead(302, { location }).end();
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(message);
  });

  test('no message holds a token, a password or a signed query', async () => {
    const said = async (more: PullOptions): Promise<string> => {
      const error = await pullModel('org/name', { ...options, attempts: 1, ...more }).catch(
        (e: unknown) => e,
      );
      return errorLine(error);
    };
    hub.mischief = (request, response, seen) => {
      if (seen.path.startsWith('/gone')) request.destroy();
      else if (isWeights(seen) || seen.path.endsWith('model.safetensors'))
        response.writeHead(302, { location: `${hub.endpoint}/gone?X-Amz-Signature=s3cret` }).end();
      else return false;
      return true;
    };
    expect(await said({})).toMatch(/\/gone: the connection failed/);
    expect(await said({})).not.toContain('s3cret');
    expect(await said({ endpoint: hub.endpoint.replace('//', '//user:s3cret@') })).toMatch(
      /without user or password/,
    );
    expect(await said({ endpoint: 's3cret' })).not.toContain('s3cret');
    expect(await said({ token: 's3cret\nx' })).toMatch(/characters that no token has/);
    expect(await said({ token: 's3cret\nx' })).not.toContain('s3cret');
  });

  test('what transformers fetched is used from there, with the hub or without', async () => {
    const home = join(cacheDir, 'hf');
    await pullModel('org/name', { ...options, cacheDir: join(home, 'hub') });
    await rm(join(home, 'hub', 'models--org--name', 'listings'), { recursive: true }); // ours alone
    const env = { HF_HOME: home, CROSSPATCH_CACHE: join(cacheDir, 'own') };
    const found = join(home, 'hub', 'models--org--name', 'snapshots', SHA);
    const before = hub.seen.length;
    const elsewhere = { ...options, cacheDir: undefined, env };
    expect(await pullModel('org/name', { ...elsewhere, offline: true })).toBe(found);
    expect(hub.seen.length).toBe(before);
    expect(await pullModel('org/name', elsewhere)).toBe(found);
    expect(await pullModel('org/name', { ...elsewhere, endpoint: 'http://127.0.0.1:9' })).toBe(found);
    expect(await readdir(cacheDir)).not.toContain('own');
  });

  test('an abort ends it at once', async () => {
    const abort = new AbortController();
    hub.mischief = (_, _response, seen) => {
      if (isWeights(seen)) setTimeout(() => abort.abort(), 10);
      return isWeights(seen);
    };
    await expect(pullModel('org/name', { ...options, signal: abort.signal })).rejects.toThrow(
      /stopped on request/,
    );
  });

  test.each([
    [401, {}, undefined, /set HF_TOKEN/],
    [401, { 'x-error-code': 'GatedRepo' }, undefined, /accept the licence .* then set HF_TOKEN/],
    [401, { 'x-error-code': 'RepoNotFound' }, undefined, /check the name, and set HF_TOKEN if it is private/],
    [403, { 'x-error-code': 'GatedRepo' }, 'secret', /accept the licence/],
    [404, {}, 'secret', /check the name$/],
  ])('status %i %o says what to do, without the token', async (status, headers, token, message) => {
    hub.mischief = (_, response) => {
      response.writeHead(status, headers).end();
      return true;
    };
    const error = await pullModel('org/name', {
      ...options,
      env: { HF_HOME: cacheDir, HF_TOKEN: token },
    }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('secret');
    expect(hub.seen).toHaveLength(1);
  });

  test.each([
    [
      'names that leave the folder',
      { sha: SHA, siblings: [{ rfilename: '../../evil.json' }] },
      /plain file names/,
    ],
    ['no commit', { sha: '../x', siblings: [] }, /a commit and its files/],
    ['no weights', { sha: SHA, siblings: [{ rfilename: 'config.json' }] }, /got no weights/],
    [
      'several GGUFs',
      { sha: SHA, siblings: [{ rfilename: 'a.gguf' }, { rfilename: 'b.gguf' }] },
      /got a\.gguf, b\.gguf/,
    ],
  ])('an answer with %s is refused', async (_, answer, message) => {
    hub.mischief = (_request, response) => {
      response.end(JSON.stringify(answer));
      return true;
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(message);
    expect(await readdir(cacheDir)).toEqual([]);
  });

  test('a server without checksums is refused', async () => {
    hub.mischief = (_, response, seen) => {
      if (seen.method === 'HEAD') response.setHeader('etag', 'W/"123"').end();
      return seen.method === 'HEAD';
    };
    await expect(pullModel('org/name', options)).rejects.toThrow(/wanted a checksum and a size/);
  });
});

describe('offline and paths', () => {
  test('offline uses what is there, whole, and sends nothing', async () => {
    const folder = await pullModel('org/name', options);
    const sent = hub.seen.length;
    const offline = { ...options, env: { HF_HUB_OFFLINE: '1' } };
    expect(await pullModel('org/name', offline)).toBe(folder);
    expect(await pullModel(`org/name@${SHA}`, { ...options, offline: true })).toBe(folder);
    await expect(pullModel('org/name@v2', offline)).rejects.toThrow(/no such revision there; pull it once/);
    await expect(pullModel('org/other', offline)).rejects.toThrow(InputError);
    await rm(join(folder, 'tokenizer.json'));
    await expect(pullModel('org/name', offline)).rejects.toThrow(
      /wanted tokenizer\.json whole, got an unfinished/,
    );
    expect(hub.seen.length).toBe(sent);
  });

  test('a path is returned as it is; only org/name asks the hub', async () => {
    await mkdir(join(cacheDir, 'model'));
    await writeFile(join(cacheDir, 'm.gguf'), '');
    for (const path of [
      join(cacheDir, 'model'),
      join(cacheDir, 'm.gguf'),
      './no/such',
      '../x',
      '~/m',
      'a/b.gguf',
      'plain',
      'a/b/c',
    ])
      expect(await locateModel(path, options)).toBe(path);
    expect(isPath('src/models')).toBe(true); // exists
    expect(hub.seen).toEqual([]);
    expect(await locateModel('org/name', options)).toContain(SHA);
  });

  test('names', () => {
    expect(parseHubReference('org/name')).toEqual({ id: 'org/name', revision: 'main' });
    expect(parseHubReference('HuggingFaceTB/SmolLM2-1.7B@refs/pr/3')).toEqual({
      id: 'HuggingFaceTB/SmolLM2-1.7B',
      revision: 'refs/pr/3',
    });
    for (const bad of ['name', 'a/b/c', '../x', 'a/..', 'a/b@', 'a/b@../../c', 'a--b/c', '/a/b', 'a/b?x', ''])
      expect(() => parseHubReference(bad)).toThrow(InputError);
  });

  test('the files a model needs', () => {
    expect(wantedFiles(['a.gguf', 'b.gguf', 'config.json'])).toEqual(['config.json']);
    expect(wantedFiles(['a.gguf', 'README.md'])).toEqual(['a.gguf']);
    expect(
      wantedFiles([
        'consolidated.safetensors',
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
        'model.safetensors.index.json',
        'original/params.json',
        'pytorch_model.bin',
      ]),
    ).toEqual([
      'model.safetensors.index.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    expect(wantedFiles(['model.safetensors', 'model.fp16.safetensors'])).toEqual(['model.safetensors']);
  });
});
