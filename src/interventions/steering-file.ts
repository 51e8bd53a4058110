/**
 * @file Steering vectors from files: safetensors and GGUF control vectors, both with tensors `direction.{L}` [D]. L is the 0-based
 * block whose output (`blocks.L.hook_resid_post`) the vector belongs to, as in llama.cpp's loader (which has no slot for L = 0).
 */
import { InputError } from '../base/index.ts';
import { type InterventionDocument, parseIntervention } from '../contracts/index.ts';
import {
  decodeToFloat32,
  fileSource,
  readGguf,
  readSafetensors,
  readTensorFloat32,
  refuseNonFinite,
} from '../models/index.ts';

/** A tensor of numbers, row-major. */
interface VectorTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A file of vectors: its tensors that were wanted, the names of all, and the strings of its metadata. */
interface TensorFile {
  readonly tensors: ReadonlyMap<string, VectorTensor>;
  readonly names: readonly string[];
  readonly facts: Readonly<Record<string, string>>;
}

/** What {@link readDirections} finds. */
export interface Directions {
  readonly vectors: Map<number, Float32Array>;
  /** Names of the tensors that are no `direction.{L}`. */
  readonly others: readonly string[];
  /** What the file says of itself. */
  readonly facts: Readonly<Record<string, string>>;
}

/** One tensor of a `.safetensors` or `.gguf` file, as float32. */
export async function readVector(path: string, key: string): Promise<VectorTensor> {
  const { tensors, names } = await readAll(path, (name) => name === key);
  const found = tensors.get(key);
  if (found !== undefined) return found;
  throw new InputError(
    `vector file ${path}: holds no tensor ${key}; it has ${names.slice(0, 8).join(', ')}`,
    { id: 'vector-invalid' },
  );
}

/** All `direction.{L}` of a file, by block. Throws {@link InputError} when there is none, or one is not a vector. */
export async function readSteeringVectors(path: string): Promise<Map<number, Float32Array>> {
  return (await readDirections(path)).vectors;
}

/** The same, and what else the file holds and says. */
export async function readDirections(path: string): Promise<Directions> {
  const out = new Map<number, Float32Array>();
  const { tensors, names, facts } = await readAll(path, (n) => DIRECTION.test(n));
  for (const [name, { shape, data }] of tensors) {
    if (shape.length !== 1)
      throw new InputError(
        `steering vectors ${path}: ${name} has shape [${shape.join(',')}], wanted one dimension`,
        { id: 'vector-invalid' },
      );
    out.set(Number(DIRECTION.exec(name)![1]), data);
  }
  if (out.size === 0)
    throw new InputError(`steering vectors ${path}: wanted tensors direction.0, direction.1, …, found none`, {
      id: 'vector-invalid',
    });
  return {
    vectors: new Map([...out].sort(([a], [b]) => a - b)),
    others: names.filter((name) => !tensors.has(name)),
    facts,
  };
}

/** The file as a document: each vector added to its block's output at every position, times `scale` (defaults to 1). */
export async function steeringDocument(
  path: string,
  options: { readonly scale?: number } = {},
): Promise<InterventionDocument> {
  const vectors = await readSteeringVectors(path);
  return parseIntervention(
    {
      interventions: [...vectors.keys()].map((layer) => ({
        op: 'add',
        hook: `blocks.${layer}.hook_resid_post`,
        tokens: { prompt: 'all', generation: 'all' },
        vector: { from: 'file', path, key: `direction.${layer}` },
        scale: options.scale ?? 1,
      })),
    },
    path,
  );
}

const DIRECTION = /^direction\.(\d+)$/;

async function readAll(path: string, wanted: (name: string) => boolean): Promise<TensorFile> {
  return path.toLowerCase().endsWith('.gguf')
    ? readGgufTensors(path, wanted)
    : readSafetensorsTensors(path, wanted);
}

async function readSafetensorsTensors(path: string, wanted: (name: string) => boolean): Promise<TensorFile> {
  const file = await readSafetensors(path);
  const tensors = new Map<string, VectorTensor>();
  for (const info of file.tensors) {
    if (!wanted(info.name)) continue;
    const tensor = await readTensorFloat32(info);
    refuseNonFinite(tensor.data, `${info.file}: ${info.name}`);
    tensors.set(info.name, tensor);
  }
  return { tensors, names: file.tensors.map(({ name }) => name), facts: file.metadata };
}

function readGgufTensors(path: string, wanted: (name: string) => boolean): TensorFile {
  const source = openSource(path);
  try {
    const file = readGguf(source, path);
    const tensors = new Map<string, VectorTensor>();
    for (const { name, type, shape, offset, byteLength } of file.tensors.values()) {
      if (!wanted(name)) continue;
      if (type.name !== 'F32' && type.name !== 'F16')
        throw new InputError(`vector file ${path}: ${name} is ${type.name}, wanted F32 or F16`, {
          id: 'vector-invalid',
        });
      const data = decodeToFloat32(type.name, source.read(offset, byteLength));
      refuseNonFinite(data, `${path}: ${name}`);
      tensors.set(name, { shape, data });
    }
    const strings = [...file.metadata].filter((e): e is [string, string] => typeof e[1] === 'string');
    return { tensors, names: [...file.tensors.keys()], facts: Object.fromEntries(strings) };
  } finally {
    source[Symbol.dispose]();
  }
}

function openSource(path: string): ReturnType<typeof fileSource> {
  try {
    return fileSource(path);
  } catch (cause) {
    throw new InputError(`vector file ${path}: cannot be opened`, { id: 'vector-invalid', cause });
  }
}
