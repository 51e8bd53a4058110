/** @file A Hugging Face folder: which safetensors files it has, which tensors they hold, and one real folder for all. */
import { copyFile, link, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hashJson, withAtomicFolder } from '../../base/index.ts';
import { cacheRoot } from './cache-folder.ts';
import { CheckpointError, show } from './errors.ts';
import { readSafetensors } from './safetensors-file.ts';
import { isPlainObject, parseStrictJsonObject } from './strict-json.ts';
import type { TensorInfo } from './types.ts';

/** Weights of a folder. */
interface FolderWeights {
  /** Real folder of all `file`s of `tensors`. */
  readonly folder: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Weights in formats that can run code when they are opened, or that other frameworks write. */
export const PICKLED =
  /^(?:pytorch_model.*|consolidated.*)\.(?:bin|bin\.index\.json|index\.json|pth)$|\.(?:pt|pth|ckpt|msgpack|h5|pkl|pickle|npz|ot)$/;
/** The next step for who has those. */
export const CONVERT =
  'convert the pickled weights first, which can run code when they are opened: load the model with transformers and write it with save_pretrained(folder, safe_serialization=True)';
/** No sharding index is near this; a larger one is not read. */
const MAX_JSON_BYTES = 100_000_000;

/** Read a JSON object file of a checkpoint, or `undefined` when there is none. Throws `CheckpointError`. */
export async function readJsonFile(path: string): Promise<Record<string, unknown> | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  if (!info.isFile() || info.size > MAX_JSON_BYTES)
    throw new CheckpointError(path, { wanted: 'a JSON file below 100 MB', got: `${info.size} bytes` });
  return parseStrictJsonObject(await readFile(path), path);
}

/** Open the weights of a Hugging Face folder, single or sharded. Throws `CheckpointError`. */
export async function openFolderWeights(
  folder: string,
  cacheDir: string | undefined,
): Promise<FolderWeights> {
  const names = new Set(await readdir(folder));
  if (names.has(SINGLE))
    return collect(await Promise.all([readSafetensors(join(folder, SINGLE))]), cacheDir, folder);
  if (names.has(INDEX)) return openSharded(folder, cacheDir);
  const pickled = [...names].find((n) => PICKLED.test(n));
  throw new CheckpointError(folder, {
    id: 'model-not-found',
    wanted: `${SINGLE} or ${INDEX}`,
    got: pickled ?? 'neither',
    next: pickled === undefined ? 'check the path' : CONVERT,
  });
}

async function openSharded(folder: string, cacheDir: string | undefined): Promise<FolderWeights> {
  const indexPath = join(folder, INDEX);
  const map = (await readJsonFile(indexPath))?.weight_map;
  if (!isPlainObject(map) || Object.keys(map).length === 0)
    throw new CheckpointError(`${indexPath}: weight_map`, {
      wanted: 'a map of tensors to files',
      got: show(map),
    });
  // What the index lists and no shard has is missed by who needs it: exports list tied heads and tables that are not there.
  const listed = new Set<string>();
  for (const file of Object.values(map)) {
    if (typeof file !== 'string' || !/^[^/\\\0]+\.safetensors$/.test(file))
      throw new CheckpointError(`${indexPath}: weight_map`, {
        wanted: 'names of .safetensors files in the same folder',
        got: show(file),
      });
    listed.add(file);
  }
  const sorted = [...listed].sort();
  const files = await Promise.all(sorted.map((name) => readSafetensors(join(folder, name))));
  return collect(files, cacheDir, folder);
}

/** All tensors of the files; no name twice; one real folder. */
async function collect(
  files: readonly { readonly file: string; readonly tensors: readonly TensorInfo[] }[],
  cacheDir: string | undefined,
  where: string,
): Promise<FolderWeights> {
  const moved = await inOneFolder(
    files.map((f) => f.file),
    cacheDir,
  );
  const tensors = new Map<string, TensorInfo>();
  for (const { file, tensors: held } of files) {
    const home = moved.get(file)!;
    for (const tensor of held) {
      if (tensors.has(tensor.name))
        throw new CheckpointError(where, {
          wanted: 'every tensor in one shard',
          got: `${show(tensor.name)} in two`,
        });
      tensors.set(tensor.name, { ...tensor, file: home });
    }
  }
  return { folder: dirname([...moved.values()][0]!), tensors };
}

/**
 * Real paths of the same files in one folder: as they are when they share it, else hard links (copies across disks)
 * in `<cache>/flat/<hash>/`. Needed where a shard is a symlink of its own to another place.
 */
async function inOneFolder(
  files: readonly string[],
  cacheDir: string | undefined,
): Promise<Map<string, string>> {
  const distinct = [...new Set(files)];
  if (new Set(distinct.map((f) => dirname(f))).size === 1) return new Map(distinct.map((f) => [f, f]));
  const stamps = await Promise.all(
    distinct.map(async (f) => {
      const { size, mtimeMs } = await stat(f);
      return [f, size, mtimeMs];
    }),
  );
  const target = join(cacheRoot(cacheDir), 'flat', hashJson(stamps).slice(0, 32));
  const nameOf = (file: string, i: number): string => `${String(i).padStart(5, '0')}-${basename(file)}`;
  if ((await stat(target).catch(() => undefined)) === undefined)
    await withAtomicFolder(
      target,
      async (aside) => {
        for (const [i, file] of distinct.entries()) {
          const to = join(aside, nameOf(file, i));
          await link(file, to).catch(() => copyFile(file, to));
        }
      },
      { cache: true, unsealed: distinct.map(nameOf) },
    );
  const real = await realpath(target);
  return new Map(distinct.map((f, i) => [f, join(real, nameOf(f, i))]));
}
