/** @file The address of a store in a bucket: `s3://bucket/prefix`. */
import { InputError } from '../base/index.ts';

/** A place in a bucket. */
export interface BucketAddress {
  /** As it was given, without a final `/`. */
  readonly shown: string;
  readonly bucket: string;
  /** Empty, or with a `/` at its end. */
  readonly prefix: string;
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
