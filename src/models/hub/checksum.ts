/** @file The checksums by which the hub names files. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Checksum of the kind the etag is: SHA-256, or git's SHA-1 of `blob <size>\0` and the bytes. */
export async function checksum(
  path: string,
  { etag, size }: { readonly etag: string; readonly size: number },
): Promise<string> {
  const hash = etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
