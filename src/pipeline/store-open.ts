/** @file Opens what a `--store` names: a folder, or a place in a bucket, whose entries are kept in a folder of the cache as well. */
import { join } from 'node:path';
import { cacheRoot } from '../models/index.ts';
import { Store } from './store.ts';
import { bucketAddress } from './store-address.ts';
import { RemoteEntries } from './store-remote.ts';
import { S3Objects } from './store-s3.ts';

/**
 * The store of a `--store`. For one in a bucket the packages are loaded and its name is read, so that a wrong address or missing credentials
 * are told at once. Throws {@link InputError}.
 */
export async function openStore(place: string): Promise<Store> {
  const address = bucketAddress(place);
  if (address === undefined) return new Store(place);
  const remote = await RemoteEntries.open(await S3Objects.open(address));
  // Named by the store itself, however its server is called.
  return new Store(join(cacheRoot(), 'stores', remote.id), remote);
}
