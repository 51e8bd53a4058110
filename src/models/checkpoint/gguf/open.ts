/** @file The weights of a GGUF: dequantised once into the cache, packed for the runtime, or one tensor at a time. */
import type { ProgressSink } from '../../../base/index.ts';
import { elementCount } from '../dtypes.ts';
import { readSafetensors } from '../safetensors-file.ts';
import { type TensorToWrite, writeSafetensors } from '../safetensors-write.ts';
import type { CheckpointTensor, TensorInfo } from '../types.ts';
import { keptOf } from './cache.ts';
import type { GgufHeaders } from './headers.ts';
import { type PackedFile, packedWeights, writePacked } from './packed-file.ts';
import { type GgufPart, partsReader } from './parts.ts';
import { type PlannedTensor, plannedValues } from './tensors.ts';

interface Options {
  readonly cacheDir?: string | undefined;
  readonly onProgress?: ProgressSink | undefined;
}

/** The weights as float32 in `<cache>/gguf/<key>/model.safetensors`, dequantised unless they are there already. */
export function float32Weights(
  { plan, parts, config }: GgufHeaders,
  { cacheDir, onProgress }: Options,
): Promise<readonly TensorInfo[]> {
  return keptOf(parts, cacheDir, {
    format: '1',
    file: 'model.safetensors',
    config,
    make: (path) => dequantiseTo(path, parts, plan, onProgress),
    async read(path) {
      const { tensors } = await readSafetensors(path);
      const shapes = new Map(tensors.map((t) => [t.name, t.shape.join()]));
      const same = shapes.size === plan.length && plan.every((t) => shapes.get(t.name) === t.shape.join());
      return same ? tensors : undefined;
    },
  });
}

/** The weights as planes of 4-bit numbers in `<cache>/gguf/<key>/weights.bin`, written unless they are there already. */
export function planeWeights(headers: GgufHeaders, { cacheDir, onProgress }: Options): Promise<PackedFile> {
  return keptOf(headers.parts, cacheDir, {
    format: 'packed 1',
    file: 'weights.bin',
    config: headers.config,
    make: (path) => writePacked(path, headers, onProgress),
    read: (path) => packedWeights(path, headers),
  });
}

/** One tensor as float32, decoded from the file itself. */
export async function readPlanned(
  { plan, parts }: GgufHeaders,
  name: string,
): Promise<CheckpointTensor | undefined> {
  const tensor = plan.find((t) => t.name === name);
  if (tensor === undefined) return undefined;
  await using reader = await partsReader(parts);
  const data = new Float32Array(elementCount(tensor.shape));
  let at = 0;
  for await (const piece of plannedValues(tensor, reader.read)) {
    data.set(piece, at);
    at += piece.length;
  }
  return { dtype: 'F32', shape: tensor.shape, data };
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
