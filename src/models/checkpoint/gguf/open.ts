/** @file A GGUF as a Hugging Face checkpoint: dequantised once into the cache, then used like any other. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type ProgressSink, withAtomicFolder, writeJsonAtomic } from '../../../base/index.ts';
import { cacheRoot, removeLeftovers } from '../cache-folder.ts';
import { CheckpointError } from '../errors.ts';
import { readRange, readSafetensors, type SafetensorsFile } from '../safetensors-file.ts';
import { type TensorToWrite, writeSafetensors } from '../safetensors-write.ts';
import { elementCount } from '../types.ts';
import { ggufConfig, ggufGenerationConfig } from './config.ts';
import { type GgufMetadata, readGguf } from './read.ts';
import { fileSource } from './source.ts';
import { type PlannedTensor, plannedValues, planTensors } from './tensors.ts';

/** Raise when the translation of tensors changes: older caches are then left alone and made anew. */
const CACHE_VERSION = 1;

/** What `openCheckpoint` needs of a GGUF. */
export interface OpenedGguf {
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown>;
  readonly metadata: GgufMetadata;
  readonly weights: SafetensorsFile;
}

/** Everything of a GGUF header but the weights: cheap, writes nothing. Throws `CheckpointError`. */
export function inspectGguf(path: string): Omit<OpenedGguf, 'weights'> & {
  readonly plan: readonly PlannedTensor[];
  readonly headerBytes: number;
} {
  using source = fileSource(path);
  const where = basename(path);
  const gguf = readGguf(source, where);
  const config = ggufConfig(gguf, source, where);
  return {
    config,
    generationConfig: ggufGenerationConfig(gguf),
    metadata: gguf.metadata,
    plan: planTensors(gguf, config, where),
    headerBytes: gguf.dataStart,
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
  const { plan, headerBytes, config, generationConfig, metadata } = inspectGguf(path);
  const parent = join(cacheRoot(options.cacheDir), 'gguf');
  const folder = join(parent, await cacheKey(path, headerBytes));
  const weightsPath = join(folder, 'model.safetensors');
  let weights = await openCached(weightsPath, plan);
  if (weights === undefined) {
    let conversion = converting.get(folder);
    if (conversion === undefined) {
      conversion = removeLeftovers(parent)
        .then(() =>
          withAtomicFolder(
            folder,
            async (aside) => {
              await writeJsonAtomic(join(aside, 'config.json'), config);
              await dequantiseTo(join(aside, 'model.safetensors'), path, plan, options.onProgress);
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
  return { config, generationConfig, metadata, weights };
}

/**
 * Name of a GGUF's cache folder: format version, size, time of change, and a hash of the header and of 64 pages
 * spread over the data. Not a hash of every byte, which would cost a full read at every start.
 */
async function cacheKey(path: string, headerBytes: number): Promise<string> {
  const handle = await open(path, 'r');
  try {
    const { size, mtimeMs } = await handle.stat();
    const hash = createHash('sha256').update(`${CACHE_VERSION} ${size} ${mtimeMs}\n`);
    const pages = 64;
    const page = 4096;
    hash.update(await readRange(handle, 0, Math.min(headerBytes, size), path));
    for (let i = 0; i < pages; i++) {
      const at = headerBytes + Math.floor(((size - headerBytes) * i) / pages);
      if (at < size) hash.update(await readRange(handle, at, Math.min(page, size - at), path));
    }
    return hash.digest('hex').slice(0, 32);
  } finally {
    await handle.close();
  }
}

/** The cached weights if they are there, whole, and hold exactly the planned tensors. */
async function openCached(
  path: string,
  plan: readonly PlannedTensor[],
): Promise<SafetensorsFile | undefined> {
  if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
  try {
    const file = await readSafetensors(path);
    const shapes = new Map(file.tensors.map((t) => [t.name, t.shape.join()]));
    const same = shapes.size === plan.length && plan.every((t) => shapes.get(t.name) === t.shape.join());
    return same ? file : undefined;
  } catch (error) {
    if (error instanceof CheckpointError) return undefined; // damaged: make it anew
    throw error;
  }
}

async function dequantiseTo(
  target: string,
  path: string,
  plan: readonly PlannedTensor[],
  onProgress: ProgressSink | undefined,
): Promise<void> {
  const handle = await open(path, 'r');
  const total = plan.reduce((n, t) => n + elementCount(t.shape) * 4, 0);
  let done = 0;
  try {
    const values = async function* (tensor: PlannedTensor): AsyncGenerator<Float32Array> {
      for await (const piece of plannedValues(tensor, (o, n) => readRange(handle, o, n, path))) {
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
  } finally {
    await handle.close();
  }
}
