/**
 * @file A checkpoint as a GGUF for llama.cpp and Ollama: the metadata (architecture, tokenizer, chat template) of a template, the checkpoint's own
 * weights, matrices in float16. Biases on its MLP that the template lacks are added, where llama.cpp reads them.
 */
import { InputError, type ProgressSink } from '../../../base/index.ts';
import type { Checkpoint } from '../types.ts';
import { architectureOf, ggufConfig } from './config.ts';
import type { GgufTensor } from './read.ts';
import type { ByteSource } from './source.ts';
import type { GgufTemplate } from './template.ts';
import { ggufValues, optionalBiasName, type PlannedTensor, planTensors } from './tensors.ts';
import { type GgufTensorToWrite, ggufEntry, writeGguf } from './write.ts';

/** Entries that say how the other file's weights are stored. */
const OF_STORAGE = /^(general\.(file_type|quantization_version|alignment)|split\..*)$/;

/** llama.cpp's numbers for "all float32" and "mostly float16". */
const FILE_TYPES = { F32: 0, F16: 1 } as const;

/** How a GGUF is written. */
export interface WriteOptions {
  /** Type of the matrices; the rest is float32. Defaults to F16. */
  readonly dtype?: 'F16' | 'F32' | undefined;
  readonly onProgress?: ProgressSink | undefined;
}

/**
 * Write `checkpoint` to the file `out`. Holds one tensor at a time.
 *
 * @throws InputError when its tensors are not those of the template, or a value does not fit float16
 */
export async function writeGgufLike(
  checkpoint: Checkpoint,
  out: string,
  { gguf, source, where }: GgufTemplate,
  { dtype = 'F16', onProgress }: WriteOptions = {},
): Promise<void> {
  const plan = planTensors(gguf, ggufConfig(gguf, source, where), where);
  const wanted = new Map(plan.map((tensor) => [tensor.name, tensor]));
  const [, architecture] = architectureOf(gguf, where);
  const biases: GgufTensorToWrite[] = [];
  for (const [name, { shape }] of checkpoint.tensors) {
    const found = wanted.get(name);
    const bias = optionalBiasName(name, architecture);
    const rows = wanted.get(name.replace(/bias$/, 'weight'))?.shape[0];
    if (found === undefined && bias !== undefined && `${rows}` === `${shape}`) {
      const values = async (): Promise<Float32Array> => (await checkpoint.readTensor(name)).data;
      biases.push({ name: bias, shape, type: 'F32', values });
      continue;
    }
    if (found === undefined || `${found.shape}` !== `${shape}`)
      throw new InputError(
        `${checkpoint.path}: ${name} [${shape.join(', ')}]; ${where} has ${found === undefined ? 'no such tensor' : `[${found.shape.join(', ')}]`}: give the GGUF that this model was made from`,
        { id: 'map-mismatch' },
      );
  }
  const planned = new Map(plan.map((tensor) => [tensor.source.name, tensor]));
  const others = [...gguf.tensors.values()].map((theirs): GgufTensorToWrite => {
    const tensor = planned.get(theirs.name);
    return tensor === undefined ? copied(theirs, source) : ownTensor(tensor, checkpoint, where, dtype);
  });
  const tensors = [...others, ...biases];
  const entries = [...gguf.entries]
    .filter(([key]) => !OF_STORAGE.test(key))
    .map(([, { offset, length }]) => source.read(offset, length));
  await writeGguf(
    out,
    { entries: [...entries, ggufEntry('general.file_type', 'u32', FILE_TYPES[dtype])], tensors },
    (done) => onProgress?.({ stage: 'export', done, total: tensors.length, unit: 'tensors' }),
  );
}

const LARGEST_F16 = 65504;

/** What the Hugging Face view has no place for: rotary tables. */
function copied(
  { name, shape, type, offset, byteLength }: GgufTensor,
  source: ByteSource,
): GgufTensorToWrite {
  const values = (): Float32Array => {
    const out = new Float32Array(shape.reduce((a, b) => a * b, 1));
    type.dequantise?.(source.read(offset, byteLength), out);
    return out;
  };
  return { name, shape, type: 'F32', values };
}

/** The checkpoint's tensor in the place of theirs. */
function ownTensor(
  tensor: PlannedTensor,
  checkpoint: Checkpoint,
  where: string,
  dtype: 'F16' | 'F32',
): GgufTensorToWrite {
  const { name, shape, source } = tensor;
  if (!checkpoint.tensors.has(name))
    throw new InputError(`${checkpoint.path}: ${name} is missing, and ${where} has it`, {
      id: 'map-mismatch',
    });
  const type = shape.length > 1 ? dtype : 'F32';
  const values = async (): Promise<Float32Array> => {
    const own = ggufValues(tensor, (await checkpoint.readTensor(name)).data.slice());
    if (type === 'F16' && own.some((x) => Math.abs(x) > LARGEST_F16))
      throw new InputError(
        `${checkpoint.path}: ${name} has values beyond float16; write it with --dtype f32`,
        { id: 'not-a-number' },
      );
    return own;
  };
  return { name: source.name, shape, type, values };
}
