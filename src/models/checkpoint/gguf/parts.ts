/**
 * @file A GGUF in one file or several (`name-00002-of-00005.gguf`, as llama.cpp's gguf-split writes them): any part finds the others.
 * Offsets of tensors count from the start of the first part, as if the files lay one after the other.
 */
import { statSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, show } from '../errors.ts';
import { readRange, refuseSparse } from '../safetensors-file.ts';
import { type Gguf, type GgufTensor, readGguf } from './read.ts';
import { type FileSource, fileSource } from './source.ts';

/** One file of a GGUF. */
export interface GgufPart {
  readonly path: string;
  /** Where it begins among all parts. */
  readonly start: number;
  readonly size: number;
  /** Bytes before its tensor data. */
  readonly headerBytes: number;
}

/** A GGUF whose parts were all found and checked. */
interface GgufParts {
  /** Metadata of the first part, tensors of all. */
  readonly gguf: Gguf;
  readonly parts: readonly GgufPart[];
}

const NAME = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;
const MAX_PARTS = 999;

/** True for the first bytes of a GGUF file. */
export async function isGguf(path: string): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0);
    return bytesRead === 4 && buffer.toString('latin1') === 'GGUF';
  } finally {
    await handle.close();
  }
}

/** The first part's name where `names` are the parts of one split GGUF, else undefined. */
export function onlySplit(names: readonly string[]): string | undefined {
  const stems = new Set(names.map((name) => NAME.exec(name)?.[1]));
  const first = names.find((name) => NAME.exec(name)?.[2] === '00001');
  return stems.size === 1 && !stems.has(undefined) ? (first ?? names[0]) : undefined;
}

/** Read the headers of all parts of the GGUF that `path` is, or is a part of. Throws `CheckpointError`. */
export async function openParts(path: string): Promise<GgufParts> {
  const given = readHeader(path);
  const count = splitKey(given.gguf, 'split.count', path);
  if (count === undefined || count <= 1)
    return {
      gguf: given.gguf,
      parts: [{ path, start: 0, size: given.size, headerBytes: given.gguf.dataStart }],
    };
  const paths = await siblings(path, count);
  const headers = paths.map((p) => (p === path ? given : readHeader(p)));
  const tensors = new Map<string, GgufTensor>();
  const parts: GgufPart[] = [];
  let start = 0;
  headers.forEach(({ gguf, size }, i) => {
    const at = paths[i] as string;
    const [number, of] = [splitKey(gguf, 'split.no', at), splitKey(gguf, 'split.count', at)];
    if (number !== i || of !== count)
      throw new CheckpointError(basename(at), {
        wanted: `part ${i} of ${count}`,
        got: `part ${number} of ${of}`,
        next: 'the parts are of different models, or were renamed: download all again',
      });
    for (const [name, tensor] of gguf.tensors) {
      if (tensors.has(name))
        throw new CheckpointError(basename(at), {
          wanted: 'every tensor in one part',
          got: `${show(name)} in two`,
        });
      tensors.set(name, { ...tensor, offset: start + tensor.offset });
    }
    parts.push({ path: at, start, size, headerBytes: gguf.dataStart });
    start += size;
  });
  const [first] = headers as [(typeof headers)[number]];
  const total = splitKey(first.gguf, 'split.tensors.count', path);
  if (total !== undefined && total !== tensors.size)
    throw new CheckpointError(basename(path), {
      wanted: `${total} tensors in ${count} parts`,
      got: `${tensors.size}`,
      next: 'a part is of another model: download all again',
    });
  return { gguf: { ...first.gguf, tensors }, parts };
}

/** Random access over all parts; a read lies within one. */
export function partsSource(parts: readonly GgufPart[]): FileSource {
  const open = parts.map((part) => ({ part, source: fileSource(part.path) }));
  const last = parts.at(-1) as GgufPart;
  return {
    size: last.start + last.size,
    read(offset, length) {
      const { part, source } = open.findLast(({ part }) => part.start <= offset) as (typeof open)[number];
      return source.read(offset - part.start, length);
    },
    [Symbol.dispose]() {
      for (const { source } of open) source[Symbol.dispose]();
    },
  };
}

/** As {@link partsSource}, for large reads. Close it. */
export async function partsReader(
  parts: readonly GgufPart[],
): Promise<{ read: (offset: number, length: number) => Promise<Uint8Array> } & AsyncDisposable> {
  const handles = await Promise.all(parts.map((part) => open(part.path, 'r')));
  return {
    read(offset, length) {
      const i = parts.findLastIndex((part) => part.start <= offset);
      const part = parts[i] as GgufPart;
      return readRange(handles[i] as (typeof handles)[number], offset - part.start, length, part.path);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(handles.map((handle) => handle.close()));
    },
  };
}

function readHeader(path: string): { gguf: Gguf; size: number } {
  refuseSparse(statSync(path), path);
  using source = fileSource(path);
  return { gguf: readGguf(source, basename(path)), size: source.size };
}

function splitKey(gguf: Gguf, key: string, path: string): number | undefined {
  const value = gguf.metadata.get(key);
  if (value === undefined) return undefined;
  if (
    typeof value !== 'number' ||
    !Number.isInteger(value) ||
    value < 0 ||
    (key === 'split.count' && value > MAX_PARTS)
  )
    throw new CheckpointError(`${basename(path)}: ${key}`, {
      wanted: `a count up to ${MAX_PARTS}`,
      got: show(value),
    });
  return value;
}

/** Paths of all parts, found by the name of one. */
async function siblings(path: string, count: number): Promise<string[]> {
  const [, stem, , total, ending] = NAME.exec(basename(path)) ?? [];
  if (stem === undefined || total === undefined || Number(total) !== count)
    throw new CheckpointError(path, {
      wanted: `a name such as model-00001-of-${String(count).padStart(5, '0')}.gguf for one of ${count} parts`,
      got: show(basename(path)),
      next: 'give the parts the names they had, in one folder',
    });
  const names = Array.from(
    { length: count },
    (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}${ending}`,
  );
  const there = new Set(await readdir(dirname(path)));
  const missing = names.filter((name) => !there.has(name));
  if (missing.length > 0)
    throw new CheckpointError(path, {
      wanted: `all ${count} parts in one folder`,
      got: `${missing.length} missing (${missing.slice(0, 3).join(', ')})`,
      next: 'download the missing parts',
    });
  return names.map((name) => join(dirname(path), name));
}
