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

/** One tensor of a `.safetensors` or `.gguf` file, as float32. */
export async function readVector(path: string, key: string): Promise<VectorTensor> {
  const tensors = await readAll(path, (name) => name === key);
  const found = tensors.get(key);
  if (found !== undefined) return found;
  const names = [...(await readAll(path, () => true)).keys()];
  throw new InputError(
    `vector file ${path}: holds no tensor ${key}; it has ${names.slice(0, 8).join(', ')}`,
    { id: 'vector-invalid' },
  );
}

/** All `direction.{L}` of a file, by block. Throws {@link InputError} when there is none, or one is not a vector. */
export async function readSteeringVectors(path: string): Promise<Map<number, Float32Array>> {
  const out = new Map<number, Float32Array>();
  for (const [name, { shape, data }] of await readAll(path, (n) => DIRECTION.test(n))) {
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
  return new Map([...out].sort(([a], [b]) => a - b));
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

async function readAll(path: string, wanted: (name: string) => boolean): Promise<Map<string, VectorTensor>> {
  return path.endsWith('.gguf') ? readGgufTensors(path, wanted) : readSafetensorsTensors(path, wanted);
}

async function readSafetensorsTensors(
  path: string,
  wanted: (name: string) => boolean,
): Promise<Map<string, VectorTensor>> {
  const { tensors } = await readSafetensors(path);
  const out = new Map<string, VectorTensor>();
  for (const info of tensors) {
    if (!wanted(info.name)) continue;
    const tensor = await readTensorFloat32(info);
    refuseNonFinite(tensor.data, `${info.file}: ${info.name}`);
    out.set(info.name, tensor);
  }
  return out;
}

function readGgufTensors(path: string, wanted: (name: string) => boolean): Map<string, VectorTensor> {
  const source = openSource(path);
  try {
    const { tensors } = readGguf(source, path);
    const out = new Map<string, VectorTensor>();
    for (const { name, type, shape, offset, byteLength } of tensors.values()) {
      if (!wanted(name)) continue;
      if (type.name !== 'F32' && type.name !== 'F16')
        throw new InputError(`vector file ${path}: ${name} is ${type.name}, wanted F32 or F16`, {
          id: 'vector-invalid',
        });
      const data = decodeToFloat32(type.name, source.read(offset, byteLength));
      refuseNonFinite(data, `${path}: ${name}`);
      out.set(name, { shape, data });
    }
    return out;
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
