/** @file A GGUF as a Hugging Face checkpoint: dequantised once into the cache, then used like any other. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  brokenSeal,
  InputError,
  type ProgressSink,
  withAtomicFolder,
  writeJsonAtomic,
} from '../../../base/index.ts';
import { cacheRoot, removeLeftovers } from '../cache-folder.ts';
import { elementCount } from '../dtypes.ts';
import { readRange, readSafetensors, type SafetensorsFile } from '../safetensors-file.ts';
import { type TensorToWrite, writeSafetensors } from '../safetensors-write.ts';
import { ggufConfig, ggufGenerationConfig } from './config.ts';
import { type GgufPart, openParts, partsReader, partsSource } from './parts.ts';
import type { GgufMetadata } from './read.ts';
import { type PlannedTensor, plannedValues, planTensors } from './tensors.ts';

/** Raise when the translation of tensors changes: older caches are then left alone and made again. */
const CACHE_VERSION = 1;

/** What `openCheckpoint` needs of a GGUF. */
interface OpenedGguf {
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown>;
  readonly metadata: GgufMetadata;
  readonly weights: SafetensorsFile;
  readonly parts: readonly GgufPart[];
}

/** Everything of a GGUF's headers but the weights: cheap, writes nothing. Throws `CheckpointError`. */
export async function inspectGguf(
  path: string,
): Promise<Omit<OpenedGguf, 'weights'> & { readonly plan: readonly PlannedTensor[] }> {
  const { gguf, parts } = await openParts(path);
  using source = partsSource(parts);
  const where = basename(path);
  const config = ggufConfig(gguf, source, where);
  return {
    config,
    generationConfig: ggufGenerationConfig(gguf),
    metadata: gguf.metadata,
    plan: planTensors(gguf, config, where),
    parts,
  };
}

/** Conversions going on in this process, by cache folder, so that two openings share one. */
const converting = new Map<string, Promise<void>>();

/**
 * Open a GGUF, dequantising it to float32 in `<cache>/gguf/<key>/model.safetensors` unless that is there already.
 * The folder appears by one rename when it is whole; what a killed process left aside is removed by the next.
 */
export async function openGguf(
  path: string,
  options: { readonly cacheDir?: string; readonly onProgress?: ProgressSink },
): Promise<OpenedGguf> {
  const { plan, parts, config, generationConfig, metadata } = await inspectGguf(path);
  const parent = join(cacheRoot(options.cacheDir), 'gguf');
  const folder = join(parent, await cacheKey(parts));
  const weightsPath = join(folder, 'model.safetensors');
  let weights = await openCached(folder, plan);
  if (weights === undefined) {
    let conversion = converting.get(folder);
    if (conversion === undefined) {
      conversion = removeLeftovers(parent)
        .then(() =>
          withAtomicFolder(
            folder,
            async (aside) => {
              await writeJsonAtomic(join(aside, 'config.json'), config);
              await dequantiseTo(join(aside, 'model.safetensors'), parts, plan, options.onProgress);
            },
            { cache: true },
          ),
        )
        .finally(() => converting.delete(folder));
      converting.set(folder, conversion);
    }
    await conversion;
    weights = await readSafetensors(weightsPath);
  }
  return { config, generationConfig, metadata, weights, parts };
}

/**
 * Name of a GGUF's cache folder: format version, size, time of change, and a hash of the header and of 64 pages
 * spread over the data, for each of its files. Not a hash of every byte, which would cost a full read at every start.
 */
async function cacheKey(parts: readonly GgufPart[]): Promise<string> {
  const hash = createHash('sha256').update(`${CACHE_VERSION}\n`);
  const pages = 64;
  const page = 4096;
  for (const { path, headerBytes } of parts) {
    const handle = await open(path, 'r');
    try {
      const { size, mtimeMs } = await handle.stat();
      hash.update(`${size} ${mtimeMs}\n`);
      hash.update(await readRange(handle, 0, Math.min(headerBytes, size), path));
      for (let i = 0; i < pages; i++) {
        const at = headerBytes + Math.floor(((size - headerBytes) * i) / pages);
        if (at < size) hash.update(await readRange(handle, at, Math.min(page, size - at), path));
      }
    } finally {
      await handle.close();
    }
  }
  return hash.digest('hex').slice(0, 32);
}

/** Cache folders whose every byte was compared with the seal by this process, with the stamps their files had then. */
const checked = new Map<string, string>();

/** The cached weights if their folder is as it was sealed, byte for byte, and they are exactly the planned tensors. */
async function openCached(
  folder: string,
  plan: readonly PlannedTensor[],
): Promise<SafetensorsFile | undefined> {
  const path = join(folder, 'model.safetensors');
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  const stamp = `${info.size} ${info.mtimeMs} ${info.ino}`;
  if (checked.get(folder) !== stamp && (await brokenSeal(folder)) !== undefined) return undefined;
  try {
    const file = await readSafetensors(path);
    const shapes = new Map(file.tensors.map((t) => [t.name, t.shape.join()]));
    const same = shapes.size === plan.length && plan.every((t) => shapes.get(t.name) === t.shape.join());
    if (same) checked.set(folder, stamp);
    return same ? file : undefined;
  } catch (error) {
    if (error instanceof InputError) return undefined; // damaged: made again
    throw error;
  }
}

async function dequantiseTo(
  target: string,
  parts: readonly GgufPart[],
  plan: readonly PlannedTensor[],
  onProgress: ProgressSink | undefined,
): Promise<void> {
  await using reader = await partsReader(parts);
  const total = plan.reduce((n, t) => n + elementCount(t.shape) * 4, 0);
  let done = 0;
  const values = async function* (tensor: PlannedTensor): AsyncGenerator<Float32Array> {
    for await (const piece of plannedValues(tensor, reader.read)) {
      yield piece;
      done += piece.byteLength;
      onProgress?.({ stage: 'checkpoint.dequantise', done, total, unit: 'bytes' });
    }
  };
  await writeSafetensors(
    target,
    plan.map(
      (tensor): TensorToWrite => ({
        name: tensor.name,
        dtype: 'F32',
        shape: tensor.shape,
        data: () => values(tensor),
      }),
    ),
  );
}
