/** @file `openCheckpoint`: one view of a Hugging Face folder and of a GGUF file. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { hashFile, hashJson, type ProgressSink } from '../../base/index.ts';
import { CheckpointError, show } from './errors.ts';
import { CONVERT, openFolderWeights, PICKLED, readJsonFile } from './folder.ts';
import { type GgufHeaders, inspectGguf } from './gguf/headers.ts';
import { float32Weights, planeWeights, readPlanned } from './gguf/open.ts';
import { isPackable } from './gguf/pack.ts';
import { isGguf, onlySplit } from './gguf/parts.ts';
import { readTensorFloat32 } from './safetensors-file.ts';
import { textPart } from './text-part.ts';
import type { Checkpoint, CheckpointHeaders, TensorInfo, WeightsForm } from './types.ts';

/** Options of {@link openCheckpoint}. */
export interface OpenCheckpointOptions {
  /** Root of the cache for what is made of GGUFs. Defaults to `$CROSSPATCH_CACHE`, else `~/.cache/crosspatch`. */
  readonly cacheDir?: string;
  /** How the matrices of a quantised GGUF are held; other models are always `f32`. Defaults to `f32`. */
  readonly weights?: WeightsForm | undefined;
  /** Hears `checkpoint.dequantise` or `checkpoint.pack` in bytes while a GGUF is opened for the first time. Defaults to nobody. */
  readonly onProgress?: ProgressSink;
}

/** Files besides the weights that decide what a model computes; part of its content hash when they are there. */
const HASHED_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
];

/**
 * Open a model on disk: a Hugging Face folder (`config.json` and safetensors, one or sharded, symlinks allowed), a
 * `.gguf` file, or a folder with one `.gguf` and no safetensors. Reads headers only; a GGUF is dequantised into the
 * cache at its first opening. Never uses the network.
 *
 * @throws CheckpointError when files are missing, damaged or not of a kind we run
 * @example const { config, tensors } = await openCheckpoint('assets/tiny/tiny-llama-s');
 */
export async function openCheckpoint(path: string, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const found = await findModel(path);
  return found.kind === 'hf' ? openFolder(path, options) : openGgufFile(found.file, path, options);
}

/**
 * What a model's files say, without its weights: nothing is dequantised, nothing is written.
 *
 * @throws CheckpointError as {@link openCheckpoint}
 */
export async function inspectCheckpoint(path: string): Promise<CheckpointHeaders> {
  const found = await findModel(path);
  return found.kind === 'hf' ? openFolder(path, {}) : headersOf(await inspectGguf(found.file), path);
}

/**
 * What a folder says whose weights are not there yet: `stored` is empty, and nothing is checked against them.
 *
 * @throws CheckpointError without a config.json
 */
export async function inspectWithoutWeights(path: string): Promise<CheckpointHeaders> {
  const configs = await readConfigs(path);
  const { config, notes } = await textPart(configs.config, new Map(), path);
  return { path: resolve(path), kind: 'hf', ...configs, config, notes, stored: new Map() };
}

/** A folder of safetensors, or the GGUF file that a path stands for. */
async function findModel(path: string): Promise<{ kind: 'hf' } | { kind: 'gguf'; file: string }> {
  const gguf = async (file: string) => ({ kind: 'gguf', file: await realpath(file) }) as const;
  const info = await stat(path).catch((error: unknown) => {
    throw new CheckpointError(
      path,
      { id: 'model-not-found', wanted: 'a model', got: 'nothing there', next: 'check the path' },
      error,
    );
  });
  if (info.isDirectory()) {
    const names = await readdir(path);
    const ggufs = names.filter((n) => n.toLowerCase().endsWith('.gguf'));
    if (names.some((n) => n.endsWith('.safetensors')) || ggufs.length === 0) return { kind: 'hf' };
    const only = ggufs.length === 1 ? ggufs[0] : onlySplit(ggufs);
    if (only !== undefined) return gguf(join(path, only));
    throw new CheckpointError(path, {
      id: 'model-not-found',
      wanted: 'one model',
      got: `${ggufs.length} GGUF files`,
      next: `give the path of one, e.g. ${ggufs[0]}`,
    });
  }
  // By what the file holds: Ollama keeps models under the names of their hashes.
  if (path.toLowerCase().endsWith('.gguf') || (await isGguf(path))) return gguf(path);
  throw new CheckpointError(path, {
    id: 'model-not-found',
    wanted: 'a folder or a .gguf file',
    got: `the file ${show(basename(path))}`,
    next: PICKLED.test(basename(path)) ? CONVERT : `give the folder: ${dirname(path)}`,
  });
}

/** How a model's matrices are held where `weights` is asked for: only quantised ones can be packed. Defaults to `f32`. */
export function heldAs({ stored }: CheckpointHeaders, weights: WeightsForm = 'f32'): WeightsForm {
  return weights === 'packed' && [...stored.values()].some(isPackable) ? 'packed' : 'f32';
}

async function openFolder(path: string, options: OpenCheckpointOptions): Promise<Checkpoint> {
  const { config, generationConfig } = await readConfigs(path);
  const files = await openFolderWeights(path, options.cacheDir);
  const { folder } = files;
  const { config: text, tensors, notes } = await textPart(config, files.tensors, path);
  return {
    path: resolve(path),
    kind: 'hf',
    folder,
    config: text,
    generationConfig,
    notes,
    stored: new Map([...tensors].map(([name, { dtype, shape }]) => [name, { type: dtype, shape }])),
    tensors,
    readTensor: (name) => readNamed(tensors, name, path),
    contentHash: once(() => hashFolder(path, tensors)),
  };
}

async function readConfigs(
  path: string,
): Promise<Pick<Checkpoint, 'config'> & { generationConfig: Checkpoint['generationConfig'] }> {
  const config = await readJsonFile(join(path, 'config.json'));
  if (config === undefined)
    throw new CheckpointError(path, {
      id: 'model-not-found',
      wanted: 'config.json',
      got: 'none',
      next: 'check the path',
    });
  return { config, generationConfig: await readJsonFile(join(path, 'generation_config.json')) };
}

async function openGgufFile(
  file: string,
  path: string,
  { weights, ...options }: OpenCheckpointOptions,
): Promise<Checkpoint> {
  const headers = await inspectGguf(file);
  const said = headersOf(headers, path);
  const shared = {
    ...said,
    contentHash: once(async () => {
      const hashes = await Promise.all(headers.parts.map((part) => hashFile(part.path)));
      return hashes.length === 1 ? (hashes[0] as string) : hashJson(hashes);
    }),
  };
  if (heldAs(said, weights) === 'packed') {
    const { tensors, folder, ...packed } = await planeWeights(headers, options);
    return {
      ...shared,
      folder,
      tensors: new Map(tensors.map((t) => [t.name, t])),
      packed,
      readTensor: async (name) =>
        (await readPlanned(headers, name)) ?? noTensor(name, headers.plan.length, path),
    };
  }
  const infos = await float32Weights(headers, options);
  const tensors = new Map(infos.map((t) => [t.name, t]));
  return {
    ...shared,
    folder: dirname((infos[0] as TensorInfo).file),
    tensors,
    readTensor: (name) => readNamed(tensors, name, path),
  };
}

function headersOf(
  { config, generationConfig, metadata, plan }: GgufHeaders,
  path: string,
): CheckpointHeaders {
  return {
    path: resolve(path),
    kind: 'gguf',
    config,
    generationConfig,
    notes: [],
    stored: new Map(plan.map(({ name, shape, source }) => [name, { type: source.type.name, shape }])),
    gguf: metadata,
  };
}

async function readNamed(tensors: ReadonlyMap<string, TensorInfo>, name: string, where: string) {
  return readTensorFloat32(tensors.get(name) ?? noTensor(name, tensors.size, where));
}

function noTensor(name: string, count: number, where: string): never {
  throw new CheckpointError(where, {
    wanted: `a tensor ${show(name)}`,
    got: `none of that name among ${count}`,
    next: 'the checkpoint is incomplete or of another architecture',
  });
}

async function hashFolder(path: string, tensors: ReadonlyMap<string, TensorInfo>): Promise<string> {
  const hashes: [string, string][] = [];
  for (const name of HASHED_FILES) {
    const file = join(path, name);
    if ((await stat(file).catch(() => undefined))?.isFile()) hashes.push([name, await hashFile(file)]);
  }
  const weights = [...new Set([...tensors.values()].map((t) => t.file))];
  const sums = await Promise.all(weights.map((file) => hashFile(file)));
  return hashJson([hashes, sums.sort()]);
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
