/** @file A local server that speaks the hub's protocol, for tests: repositories in memory or made from folders, and mischief when told to. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** What one repository holds. */
export interface HubRepository {
  /** Its only commit. */
  readonly sha: string;
  /** By path in the repository. */
  readonly files: Readonly<Record<string, Buffer>>;
  /** Branches and tags, all of that commit. Defaults to `main`. */
  readonly refs?: readonly string[];
  /** Anyone sees what it holds; the files are for those who send this token. */
  readonly gate?: string | undefined;
}

/** A request as the tests look at it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Handles a request instead of the well-behaved server; false to let that one answer. */
export type Mischief = (request: IncomingMessage, response: ServerResponse, seen: SeenRequest) => boolean;

/** The hub, and the host of large files (`.safetensors`) it redirects to. */
export class HubServer {
  readonly seen: SeenRequest[] = [];
  mischief: Mischief = () => false;
  readonly #repositories: Readonly<Record<string, HubRepository>>;
  readonly #hub = createServer((q, s) => this.#answer(q, s, true));
  readonly #store = createServer((q, s) => this.#answer(q, s, false));

  /** `repositories`: by `org/name`. */
  constructor(repositories: Readonly<Record<string, HubRepository>>) {
    this.#repositories = repositories;
  }

  async start(): Promise<void> {
    await Promise.all(
      [this.#hub, this.#store].map((s) => new Promise<void>((ok) => s.listen(0, '127.0.0.1', ok))),
    );
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((ok) => server.close(ok));
    }
  }

  get endpoint(): string {
    return origin(this.#hub);
  }

  /** GET requests for the bytes of files at the host of large files, whose paths end in `name`. */
  gets(name = ''): SeenRequest[] {
    return this.seen.filter(
      (s) => s.method === 'GET' && s.path.startsWith('/store/') && s.path.endsWith(name),
    );
  }

  #answer(request: IncomingMessage, response: ServerResponse, isHub: boolean): void {
    const seen: SeenRequest = {
      method: request.method!,
      path: decodeURIComponent(request.url!),
      range: request.headers.range,
      authorization: request.headers.authorization,
    };
    this.seen.push(seen);
    if (this.mischief(request, response, seen)) return;
    if (isHub) this.#answerHub(seen, response);
    else {
      const [, id, name] = /^\/store\/([^/]+\/[^/]+)\/(.+)$/.exec(seen.path)!;
      sendBytes(seen, response, this.#repositories[id!]!.files[name!]!);
    }
  }

  #answerHub(seen: SeenRequest, response: ServerResponse): void {
    const [, listed, revision] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/(.+)$/.exec(seen.path) ?? [];
    const [, held, commit, name] = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path) ?? [];
    const id = listed ?? held ?? '';
    const repository = this.#repositories[id];
    if (repository === undefined) refuse(response, 404, 'RepoNotFound');
    else if (listed !== undefined) sendListing(response, repository, revision!);
    else this.#sendFile(seen, response, { id, repository, commit: commit!, name: name! });
  }

  #sendFile(
    seen: SeenRequest,
    response: ServerResponse,
    asked: {
      readonly id: string;
      readonly repository: HubRepository;
      readonly commit: string;
      readonly name: string;
    },
  ): void {
    const { id, name, commit, repository } = asked;
    const { sha, files, gate } = repository;
    const bytes = commit === sha ? files[name] : undefined;
    if (gate !== undefined && seen.authorization !== `Bearer ${gate}`)
      refuse(response, seen.authorization === undefined ? 401 : 403, 'GatedRepo');
    else if (bytes === undefined) refuse(response, 404, 'EntryNotFound');
    else if (name.endsWith('.safetensors'))
      response
        .writeHead(302, {
          location: `${origin(this.#store)}/store/${id}/${name}`,
          'x-linked-etag': `"${createHash('sha256').update(bytes).digest('hex')}"`,
          'x-linked-size': String(bytes.length),
          'x-repo-commit': sha,
        })
        .end();
    else {
      response.setHeader('etag', `"${gitSha(bytes)}"`);
      sendBytes(seen, response, bytes);
    }
  }
}

function sendListing(
  response: ServerResponse,
  { sha, files, refs = ['main'] }: HubRepository,
  at: string,
): void {
  const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
  if (![...refs, sha].includes(at)) refuse(response, 404, 'RevisionNotFound');
  else response.setHeader('content-type', 'application/json').end(JSON.stringify({ sha, siblings }));
}

/** The files of a folder as a repository; its commit is made of their bytes. */
export async function repositoryOf(
  folder: string,
  more: Pick<HubRepository, 'gate'> = {},
): Promise<HubRepository> {
  const files: Record<string, Buffer> = {};
  const commit = createHash('sha1');
  for (const name of (await readdir(folder)).sort()) {
    if (name.startsWith('.')) continue;
    files[name] = await readFile(join(folder, name));
    commit.update(`${name}\0${gitSha(files[name])}`);
  }
  return { sha: commit.digest('hex'), files, ...more };
}

/** The name git gives to a file of these bytes. */
export function gitSha(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function origin(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'x-error-code': code }).end();
}

function sendBytes({ method, range }: SeenRequest, response: ServerResponse, bytes: Buffer): void {
  const start = range === undefined ? 0 : Number(/^bytes=(\d+)-$/.exec(range)![1]);
  if (range !== undefined)
    response.writeHead(206, { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` });
  else response.setHeader('content-length', bytes.length);
  response.end(method === 'HEAD' ? undefined : bytes.subarray(start));
}
