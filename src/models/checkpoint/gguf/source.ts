/** @file Random access to the bytes of a file or of memory, and a cursor that never reads past the end. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { CheckpointError } from '../errors.ts';

/** Bytes that can be read anywhere; synchronous, because a header is thousands of tiny reads. */
export interface ByteSource {
  readonly size: number;
  /** `length` bytes from `offset`; the caller has checked that they exist. */
  read(offset: number, length: number): Uint8Array;
}

/** A file as a source, with its release. */
export interface FileSource extends ByteSource, Disposable {}

/** Open a file as a source. */
export function fileSource(path: string): FileSource {
  const fd = openSync(path, 'r');
  return {
    size: fstatSync(fd).size,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const n = readSync(fd, bytes, done, Math.min(1 << 30, length - done), offset + done);
        if (n === 0)
          throw new CheckpointError(path, { wanted: `${length} bytes at ${offset}`, got: `only ${done}` });
        done += n;
      }
      return bytes;
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** Memory as a source. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: (offset, length) => new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length),
  };
}

/** Bytes fetched at a time. */
const WINDOW = 1 << 20;

/** Reads little-endian values one after the other; every length is checked against the file before it is used. */
export class Cursor {
  readonly where: string;
  readonly #source: ByteSource;
  #window: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(this.#window.buffer, 0, 0);
  #windowStart = 0;
  #position = 0;

  constructor(source: ByteSource, where: string) {
    this.#source = source;
    this.where = where;
  }

  /** Bytes read so far. */
  get position(): number {
    return this.#position;
  }

  /** Bytes left in the file. */
  get remaining(): number {
    return this.#source.size - this.#position;
  }

  u8(): number {
    const at = this.#take(1);
    return this.#view.getUint8(at);
  }
  i8(): number {
    const at = this.#take(1);
    return this.#view.getInt8(at);
  }
  u16(): number {
    const at = this.#take(2);
    return this.#view.getUint16(at, true);
  }
  i16(): number {
    const at = this.#take(2);
    return this.#view.getInt16(at, true);
  }
  u32(): number {
    const at = this.#take(4);
    return this.#view.getUint32(at, true);
  }
  i32(): number {
    const at = this.#take(4);
    return this.#view.getInt32(at, true);
  }
  f32(): number {
    const at = this.#take(4);
    return this.#view.getFloat32(at, true);
  }
  u64(): bigint {
    const at = this.#take(8);
    return this.#view.getBigUint64(at, true);
  }
  i64(): bigint {
    const at = this.#take(8);
    return this.#view.getBigInt64(at, true);
  }
  f64(): number {
    const at = this.#take(8);
    return this.#view.getFloat64(at, true);
  }

  /** A u64 that counts things of at least `bytesEach` bytes that must still be in the file. */
  count(what: string, bytesEach: number): number {
    const n = this.u64();
    if (n * BigInt(bytesEach) > BigInt(this.remaining))
      throw new CheckpointError(this.where, {
        wanted: `at most ${Math.floor(this.remaining / bytesEach)} ${what} in the ${this.remaining} bytes left`,
        got: `${n}`,
        next: 'the file is truncated or damaged: download it again',
      });
    return Number(n);
  }

  /** A string: u64 length, then UTF-8. Broken UTF-8 becomes U+FFFD. */
  string(): string {
    const length = this.count('bytes of text', 1);
    const start = this.#take(length);
    return this.#window.toString('utf8', start, start + length);
  }

  /** `length` bytes in their own memory. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#window.subarray(start, start + length));
  }

  #check(length: number): void {
    if (length > this.remaining)
      throw new CheckpointError(this.where, {
        wanted: `${length} more bytes at ${this.#position}`,
        got: `the end of the file after ${this.remaining}`,
        next: 'the file is truncated: download it again',
      });
  }

  /** Advance by `length`; returns where those bytes lie in the window, which may be a new one. */
  #take(length: number): number {
    this.#check(length);
    let start = this.#position - this.#windowStart;
    if (start + length > this.#window.length) {
      const bytes = this.#source.read(this.#position, Math.min(Math.max(WINDOW, length), this.remaining));
      this.#window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.#windowStart = this.#position;
      start = 0;
    }
    this.#position += length;
    return start;
  }
}
