/**
 * @file Objects of an S3 bucket. The packages that talk to it are optional: they are loaded here, when a store is named by an `s3://` address,
 * and nowhere else. Public types lead here, so no exported type names them. Errors say what is wrong in crosspatch's own words: what a server
 * answers may quote keys.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { AbortedError, InputError, throwIfAborted } from '../base/index.ts';
import type { BucketAddress } from './store-address.ts';
import { s3Error } from './store-s3-error.ts';

/** The versions of package.json's `peerDependencies`. */
const INSTALL = 'npm install --ignore-scripts @aws-sdk/client-s3@3.1175.0 @aws-sdk/lib-storage@3.1175.0';
/** Files up to this size are sent in one request; larger ones in parts of at least this size, {@link PARTS_AT_ONCE} of which are in memory. */
const PART_BYTES = 16 * 2 ** 20;
const PARTS_AT_ONCE = 4;
/** An upload has at most 10 000 parts (the limit of S3). */
const MOST_PARTS = 9000;
/** Tries of a request: 3 when the store is opened, so that a wrong address is told soon; later enough to outlast a minute without network. */
const TRIES = { opening: 3, later: 12 };
const CONNECT_MS = 10_000;
/** A server that sends nothing for so long is asked again, from where it stopped, at most {@link CUTS} times in a row. */
const SILENT_MS = 30_000;
const CUTS = 10;
const AFTER_CUT_MS = 2000;

type Sdk = typeof import('@aws-sdk/client-s3') & Pick<typeof import('@aws-sdk/lib-storage'), 'Upload'>;

/** The objects below an address. Keys are within its prefix. */
export class S3Objects {
  /** As messages name it. */
  readonly shown: string;
  readonly #sdk: Sdk;
  readonly #address: BucketAddress;
  #client: S3Client;

  /** Throws {@link InputError} when the packages are missing. Credentials, region and endpoint are those of the AWS_ variables and files. */
  static async open(address: BucketAddress): Promise<S3Objects> {
    return new S3Objects(await packages(address.shown), address);
  }

  private constructor(sdk: Sdk, address: BucketAddress) {
    this.#sdk = sdk;
    this.#address = address;
    this.shown = address.shown;
    this.#client = this.#connect(TRIES.opening);
  }

  /** To be called once the first request was answered: from now on the network may be away for a minute. */
  isOpen(): void {
    this.#client = this.#connect(TRIES.later);
  }

  /** A small object as text; undefined where there is none. */
  async read(key: string, signal?: AbortSignal): Promise<string | undefined> {
    const pieces: Uint8Array[] = [];
    try {
      for await (const piece of this.#pieces(key, signal)) pieces.push(piece);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw this.#failed(error, signal);
    }
    return Buffer.concat(pieces).toString();
  }

  /** An object's bytes as they come, and then their SHA-256; a connection that breaks is taken up again where it broke. Undefined where there is none. */
  async stream(
    key: string,
    signal?: AbortSignal,
  ): Promise<{ bytes: AsyncIterable<Uint8Array>; sha256: () => string } | undefined> {
    const pieces = this.#pieces(key, signal);
    const failed = (error: unknown) => this.#failed(error, signal);
    const hash = createHash('sha256');
    let first: IteratorResult<Uint8Array, void>;
    try {
      first = await pieces.next();
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw failed(error);
    }
    async function* bytes(): AsyncGenerator<Uint8Array> {
      try {
        for (let next = first; !next.done; next = await pieces.next()) {
          hash.update(next.value);
          yield next.value;
        }
      } catch (error) {
        throw failed(error);
      }
    }
    return { bytes: bytes(), sha256: () => hash.digest('hex') };
  }

  /** Write a small object. With `isNew` only where there is none, if the server knows that condition; false when there was one. */
  async write(
    key: string,
    text: string,
    options: { isNew?: boolean; signal?: AbortSignal | undefined } = {},
  ): Promise<boolean> {
    const { isNew = false, signal } = options;
    const put = (IfNoneMatch?: string) =>
      this.#client.send(
        new this.#sdk.PutObjectCommand({ ...this.#at(key), Body: Buffer.from(text), IfNoneMatch }),
        { abortSignal: signal },
      );
    try {
      await put(isNew ? '*' : undefined);
      return true;
    } catch (error) {
      const { httpStatusCode } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
      if (isNew && (httpStatusCode === 412 || httpStatusCode === 409)) return false;
      if (!isNew || httpStatusCode !== 501) throw this.#failed(error, signal);
    }
    return this.write(key, text, { signal });
  }

  /** Send a file; memory is bounded, whatever its size. */
  async upload(key: string, path: string, signal?: AbortSignal): Promise<void> {
    const { size } = await stat(path);
    try {
      if (size <= PART_BYTES)
        await this.#client.send(
          new this.#sdk.PutObjectCommand({ ...this.#at(key), Body: await readFile(path) }),
          { abortSignal: signal },
        );
      else await this.#uploadParts(key, path, { size, signal });
    } catch (error) {
      throw this.#failed(error, signal);
    }
  }

  /** Remove an object; one that is not there is removed. */
  async remove(key: string): Promise<void> {
    try {
      await this.#client.send(new this.#sdk.DeleteObjectCommand(this.#at(key)));
    } catch (error) {
      throw this.#failed(error);
    }
  }

  async #uploadParts(
    key: string,
    path: string,
    { size, signal }: { size: number; signal: AbortSignal | undefined },
  ): Promise<void> {
    const partSize = Math.max(PART_BYTES, Math.ceil(size / MOST_PARTS));
    const upload = new this.#sdk.Upload({
      client: this.#client,
      params: { ...this.#at(key), Body: createReadStream(path, { highWaterMark: 1 << 20 }) },
      partSize,
      queueSize: PARTS_AT_ONCE,
    });
    const onAbort = () => void upload.abort();
    throwIfAborted(signal, key);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await upload.done();
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The bytes of an object. A connection that breaks is taken up again where it broke, as long as the object is the same. */
  async *#pieces(key: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void> {
    let [at, total, cuts] = [0, Number.POSITIVE_INFINITY, 0];
    let etag: string | undefined;
    while (at < total) {
      const from = at === 0 ? {} : { Range: `bytes=${at}-`, IfMatch: etag };
      const answer = await this.#client.send(new this.#sdk.GetObjectCommand({ ...this.#at(key), ...from }), {
        abortSignal: signal,
      });
      if (at > 0 && answer.ContentRange === undefined)
        throw new Error('the server gives no parts of objects');
      etag = answer.ETag;
      total = at + (answer.ContentLength ?? 0);
      let cut: unknown = new Error('the object ended early');
      try {
        for await (const piece of awake(answer.Body as Readable)) {
          at += piece.length;
          cuts = 0;
          yield piece;
        }
      } catch (error) {
        cut = error;
      }
      if (at >= total) return;
      if (signal?.aborted || ++cuts > CUTS) throw cut;
      await sleep(AFTER_CUT_MS, undefined, { signal });
    }
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#address.bucket, Key: `${this.#address.prefix}${key}` };
  }

  #connect(maxAttempts: number): S3Client {
    const { AWS_REGION, AWS_DEFAULT_REGION } = process.env;
    const hasEndpoint = endpointOf(process.env) !== undefined;
    return new this.#sdk.S3Client({
      maxAttempts,
      region: AWS_REGION || AWS_DEFAULT_REGION || (hasEndpoint ? 'us-east-1' : undefined),
      followRegionRedirects: true,
      // Servers other than Amazon's seldom have a host name per bucket.
      forcePathStyle: hasEndpoint,
      // Many of them do not know the checksums that the SDK would add. Every file's SHA-256 is compared when it is read.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENT_MS },
    });
  }

  #failed(error: unknown, signal?: AbortSignal): Error {
    if (signal?.aborted) return new AbortedError(this.shown);
    return s3Error(error, {
      shown: this.shown,
      bucket: this.#address.bucket,
      endpoint: endpointOf(process.env),
    });
  }
}

/** The server that is asked instead of Amazon's, if one is. */
function endpointOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined;
}

/** The pieces of a stream that is given up when nothing comes for {@link SILENT_MS}. */
async function* awake(body: Readable): AsyncGenerator<Uint8Array> {
  const timer = setTimeout(() => body.destroy(new Error('the server sends nothing')), SILENT_MS);
  try {
    for await (const piece of body) {
      timer.refresh();
      yield piece as Uint8Array;
    }
  } finally {
    clearTimeout(timer);
  }
}

function isAbsent(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes((error as { name?: string }).name ?? '');
}

async function packages(shown: string): Promise<Sdk> {
  // Which Node its next versions will want is no matter of whoever runs an experiment.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  try {
    const [client, { Upload }] = await Promise.all([
      import('@aws-sdk/client-s3'),
      import('@aws-sdk/lib-storage'),
    ]);
    return { ...client, Upload };
  } catch (cause) {
    throw new InputError(`--store ${shown}: the packages it needs are not installed; ${INSTALL}`, {
      id: 'package-missing',
      cause,
    });
  }
}
