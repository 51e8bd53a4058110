/** @file One file into the blob store: resumed where it stopped, checked against its checksum, then renamed. */
import { constants } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CrosspatchError, showText } from '../../base/index.ts';
import { isIntact } from './caches.ts';
import { checksum } from './checksum.ts';
import { type HubConnection, readChunks, request, TransientError, withRetries } from './http.ts';

/** What the hub says of a file. */
export interface RemoteFile {
  readonly url: string;
  /** SHA-256 of the bytes (64 hex digits, large files) or the git blob SHA-1 (40, small ones); its name in the store. */
  readonly etag: string;
  readonly size: number;
}

/** Ask for checksum and size of a file, without its bytes. */
export async function headFile(connection: HubConnection, url: string): Promise<RemoteFile> {
  return withRetries(connection, async () => {
    const response = await request(connection, url, { method: 'HEAD', stopAtChecksum: true });
    const tag = response.headers.get('x-linked-etag') ?? response.headers.get('etag') ?? '';
    const etag = tag.replace(/^W\//, '').replaceAll('"', '').toLowerCase();
    const size = Number(
      response.headers.get('x-linked-size') ?? response.headers.get('content-length') ?? Number.NaN,
    );
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag) || !Number.isSafeInteger(size) || size < 0)
      throw new CrosspatchError(
        `${url}: wanted a checksum and a size, got etag "${showText(etag)}" and ${size} bytes; this server cannot be trusted to deliver whole files, use another endpoint`,
        { id: 'hub-answer' },
      );
    return { url, etag, size };
  });
}

/**
 * Path of the file in `blobs`, fetching what is missing. A partial download lies in `<etag>.part` and is taken up with
 * a Range request; the checksum is over all bytes. On a mismatch the file is fetched again once.
 *
 * @param onBytes hears how many bytes of this file are on disk
 */
export async function fetchBlob(
  connection: HubConnection,
  file: RemoteFile,
  blobs: string,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const path = join(blobs, file.etag);
  if (await isWhole(file, path)) {
    onBytes(file.size);
    return path;
  }
  await mkdir(blobs, { recursive: true });
  const part = `${path}.part`;
  for (let round = 0; ; round++) {
    // Only what was never reached before is progress: a server that makes us begin again and again must end too.
    let furthest = await sizeOf(part);
    let before = furthest;
    await withRetries(
      connection,
      async () => {
        before = furthest;
        await appendRest(connection, file, part, (bytes) => {
          furthest = Math.max(furthest, bytes);
          onBytes(bytes);
        });
      },
      () => furthest > before,
    );
    const got = await checksum(part, file);
    if (got === file.etag) break;
    await rm(part, { force: true });
    if (round > 0)
      throw new CrosspatchError(
        `${file.url}: wanted checksum ${file.etag}, got ${got} twice; try again later or use another endpoint`,
        { id: 'hub-answer' },
      );
  }
  await rename(part, path);
  return path;
}

/** Bytes of a file that need not be fetched, whole or begun. */
export async function bytesThere(file: RemoteFile, blobs: string): Promise<number> {
  const path = join(blobs, file.etag);
  if (await isWhole(file, path)) return file.size;
  return Math.min(file.size, Math.max(0, await sizeOf(`${path}.part`)));
}

async function isWhole({ size }: RemoteFile, path: string): Promise<boolean> {
  return (await sizeOf(path)) === size && (await isIntact(path));
}

/** Bytes of a file of our own, −1 when there is none. What is a link, or is linked elsewhere, would be written through: it goes. */
async function sizeOf(path: string): Promise<number> {
  const info = await lstat(path).catch(() => undefined);
  if (info === undefined) return -1;
  if (info.isFile() && (info.nlink === 1 || !path.endsWith('.part'))) return info.size;
  await rm(path, { recursive: true, force: true });
  return -1;
}

/** Fetch what `part` lacks. A cut connection throws `TransientError` and leaves what came. */
async function appendRest(
  connection: HubConnection,
  file: RemoteFile,
  part: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let have = Math.max(0, await sizeOf(part));
  if (have === file.size && have > 0) return;
  if (have > file.size) have = 0;
  const response = await request(
    connection,
    file.url,
    have > 0 ? { headers: { range: `bytes=${have}-` } } : {},
  );
  const isRest =
    response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${have}-`);
  if (have > 0 && !isRest) {
    if (response.status !== 200) {
      await response.body?.cancel();
      await rm(part);
      throw new TransientError(`${file.url}: the server would not go on at byte ${have}`);
    }
    have = 0; // it sends the whole file
  } else if (have === 0 && response.status !== 200) {
    await response.body?.cancel();
    throw new TransientError(`${file.url}: wanted the file, got status ${response.status}`);
  }
  const how = have > 0 ? constants.O_APPEND : constants.O_TRUNC;
  const handle = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | how);
  try {
    for await (const chunk of readChunks(connection, response, file.url)) {
      if (have + chunk.length > file.size)
        throw new CrosspatchError(
          `${file.url}: wanted ${file.size} bytes, got more; try again later or use another endpoint`,
          { id: 'hub-answer' },
        );
      await handle.appendFile(chunk);
      have += chunk.length;
      onBytes(have);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (have < file.size)
    throw new TransientError(`${file.url}: the connection was cut at ${have} of ${file.size} bytes`);
}
