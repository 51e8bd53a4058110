/** @file What a `--store` names: a folder, or `s3://bucket/prefix`, whose entries are kept in a folder of the cache as well. */
import { join } from 'node:path';
import { InputError } from '../base/index.ts';
import { cacheRoot } from '../models/index.ts';
import { Store } from './store.ts';
import { RemoteEntries } from './store-remote.ts';
import { S3Objects } from './store-s3.ts';

/** A place in a bucket. */
export interface BucketAddress {
  /** As it was given, without a final `/`. */
  readonly shown: string;
  readonly bucket: string;
  /** Empty, or with a `/` at its end. */
  readonly prefix: string;
}

/**
 * The store of a `--store`. For one in a bucket the packages are loaded and its name is read, so that a wrong address or missing credentials
 * are told at once. Throws {@link InputError}.
 */
export async function openStore(place: string): Promise<Store> {
  const address = bucketAddress(place);
  if (address === undefined) return new Store(place);
  const remote = await RemoteEntries.open(await S3Objects.open(address));
  return new Store(mirrorFolder(remote.id), remote);
}

/** Where the entries of a store in a bucket are kept on this machine: named by the store, however its server is called. */
function mirrorFolder(id: string): string {
  return join(mirrorsRoot(), id);
}

/** The folder of all such folders. */
export function mirrorsRoot(): string {
  return join(cacheRoot(), 'stores');
}

/** The place in a bucket that `text` names; undefined for a folder. Throws {@link InputError} for an address of another kind. */
export function bucketAddress(text: string): BucketAddress | undefined {
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(text)?.[1];
  if (scheme === undefined) return undefined;
  const [, bucket, path = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[^/?#]+)*)\/?$/.exec(text) ?? [];
  if (bucket === undefined)
    throw new InputError(
      `--store: wanted a folder, s3://bucket or s3://bucket/prefix, got ${scheme === 's3' && !text.includes('@') ? text : `${scheme}://…`}`,
      { id: 'option-invalid' },
    );
  return { shown: `s3://${bucket}${path}`, bucket, prefix: path === '' ? '' : `${path.slice(1)}/` };
}
