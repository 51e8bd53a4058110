/**
 * @file The file packed weights are kept in: a layout that follows from the GGUF's headers alone, so it needs no header of its own. A
 * matrix of a packed type lies there as planes and shift (`pack.ts`); norms, biases and matrices of floats as they are, float32 or the
 * half precision of the file. An embedding that is not the head is not there at all: its rows are read from the GGUF.
 */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ProgressSink } from '../../../base/index.ts';
import { DTYPE_BYTES, type Dtype, elementCount } from '../dtypes.ts';
import { CheckpointError, show } from '../errors.ts';
import { encodeFloat32, firstNonFinite } from '../numbers.ts';
import type { PackedTensor, PackedWeights, TensorInfo } from '../types.ts';
import type { GgufHeaders } from './headers.ts';
import { isPackable, packedForm, packedRows, packer } from './pack.ts';
import { partsReader } from './parts.ts';
import { type PlannedTensor, plannedBytes, plannedValues } from './tensors.ts';

const EMBED = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/** Every piece begins at a multiple of this: no cache line is shared, no vector load is split. */
const ALIGN = 64;

/** Values packed at a time. */
const PIECE_VALUES = 1 << 20;

interface Layout {
  readonly tensors: readonly TensorInfo[];
  readonly matrices: ReadonlyMap<string, PackedTensor>;
  readonly bytes: number;
}

/** Where everything lies in `file`. */
function layout({ plan }: GgufHeaders, file: string): Layout {
  const tensors: TensorInfo[] = [];
  const matrices = new Map<string, PackedTensor>();
  let at = 0;
  const place = (name: string, dtype: Dtype, shape: readonly number[]): TensorInfo => {
    const byteLength = elementCount(shape) * DTYPE_BYTES[dtype];
    const info = { name, dtype, shape, file, offset: at, byteLength };
    at += Math.ceil(byteLength / ALIGN) * ALIGN;
    return info;
  };
  for (const tensor of plan) {
    const { name, shape } = tensor;
    const form = formOf(tensor);
    if (name === EMBED && plan.some((t) => t.name === HEAD)) continue;
    if (form === undefined) {
      tensors.push(place(name, floatType(tensor), shape));
      continue;
    }
    const [rows, width] = shape as [number, number];
    const blocks = width / form.block;
    matrices.set(name, {
      shape: [rows, width],
      block: form.block,
      planes: Array.from({ length: form.planes }, (_, p) => ({
        codes: place(`${name}.codes.${p}`, 'U8', [rows, blocks, form.block / 2]),
        scales: place(`${name}.scales.${p}`, 'F32', [rows, blocks]),
      })),
      shift: form.shifted ? place(`${name}.shift`, 'F32', [rows, blocks]) : undefined,
    });
  }
  return { tensors, matrices, bytes: at };
}

function formOf({ shape, source }: PlannedTensor): ReturnType<typeof packedForm> {
  return isPackable({ shape, type: source.type.name }) ? packedForm(source.type.name) : undefined;
}

/** Half precision stays what it is unless its values change. */
function floatType({ source, minusOne }: PlannedTensor): 'F32' | 'F16' | 'BF16' {
  const { name } = source.type;
  return minusOne !== true && (name === 'F16' || name === 'BF16') ? name : 'F32';
}

/** Packed weights, and the tensors beside them that are floats. */
export interface PackedFile extends PackedWeights {
  readonly folder: string;
  readonly tensors: readonly TensorInfo[];
}

/** What a packed file holds; undefined when it is not of the size that the headers ask for. */
export async function packedWeights(path: string, headers: GgufHeaders): Promise<PackedFile | undefined> {
  const file = await realpath(path);
  const { tensors, matrices, bytes } = layout(headers, file);
  if ((await stat(file)).size !== bytes) return undefined;
  return { folder: dirname(file), tensors, matrices, embedding: embeddingRows(headers) };
}

/** Rows of the embedding where they lie in the GGUF. */
function embeddingRows({ plan, parts }: GgufHeaders): PackedWeights['embedding'] {
  const { source, shape } = plan.find((t) => t.name === EMBED)!;
  const part = parts.findLast(({ start }) => start <= source.offset)!;
  return {
    file: part.path,
    offset: source.offset - part.start,
    rowBytes: source.byteLength / shape[0]!,
    decode: source.type.dequantise!,
  };
}

/** Write the packed file of a GGUF, one piece of a tensor at a time. */
export async function writePacked(
  path: string,
  headers: GgufHeaders,
  onProgress: ProgressSink | undefined,
): Promise<void> {
  const { tensors, matrices, bytes } = layout(headers, path);
  const places = new Map(tensors.map((t) => [t.name, t]));
  await using reader = await partsReader(headers.parts);
  const total = headers.plan.reduce((n, t) => n + t.source.byteLength, 0);
  let done = 0;
  const handle = await open(path, 'wx');
  try {
    for (const tensor of headers.plan) {
      const matrix = matrices.get(tensor.name);
      const place = places.get(tensor.name);
      if (matrix !== undefined) await writeMatrix(handle, tensor, matrix, reader.read);
      else if (place !== undefined) await writeFloats(handle, tensor, place, reader.read);
      done += tensor.source.byteLength;
      onProgress?.({ stage: 'checkpoint.pack', done, total, unit: 'bytes' });
    }
    await handle.truncate(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

type Read = (offset: number, length: number) => Promise<Uint8Array>;

async function writeMatrix(
  handle: FileHandle,
  tensor: PlannedTensor,
  { planes, shift, shape: [, width] }: PackedTensor,
  read: Read,
): Promise<void> {
  const form = formOf(tensor)!;
  const pack = packer(tensor.source.type.name);
  let rows = packedRows(form, 0);
  let done = 0; // values
  for await (const { bytes, rows: n } of plannedBytes(tensor, read, PIECE_VALUES)) {
    const values = n * width;
    if (rows.codes[0]!.length * 2 !== values) rows = packedRows(form, values);
    pack(bytes, rows);
    for (const [p, plane] of planes.entries()) {
      await writeAt(handle, rows.codes[p]!, plane.codes.offset + done / 2);
      await writeAt(handle, checked(rows.scales[p]!, tensor), plane.scales.offset + (done / form.block) * 4);
    }
    if (shift !== undefined)
      await writeAt(handle, checked(rows.shift!, tensor), shift.offset + (done / form.block) * 4);
    done += values;
  }
}

async function writeFloats(
  handle: FileHandle,
  tensor: PlannedTensor,
  { offset, dtype }: TensorInfo,
  read: Read,
): Promise<void> {
  let at = offset;
  for await (const piece of plannedValues(tensor, read)) {
    const bytes = encodeFloat32(dtype as 'F32' | 'F16' | 'BF16', checked(piece, tensor));
    await writeAt(handle, bytes, at);
    at += bytes.byteLength;
  }
}

/** One NaN spoils every logit. */
function checked(values: Float32Array, { source }: PlannedTensor): Float32Array {
  const at = firstNonFinite(values);
  if (at >= 0)
    throw new CheckpointError(`tensor ${show(source.name)}`, {
      wanted: 'finite weights',
      got: `NaN or infinity among the scales or values of ${source.type.name}`,
      next: 'everything computed with it would be NaN: take another copy of the file',
    });
  return values;
}

async function writeAt(handle: FileHandle, data: Uint8Array | Float32Array, at: number): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let done = 0; done < bytes.length; )
    done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}
