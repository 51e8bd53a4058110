/**
 * @file A checkpoint that came from no GGUF as one: metadata and the directory of tensors in memory, by llama.cpp's names
 * (gguf-py's constants and the converter of llama.cpp).
 */
import { InputError } from '../../../base/index.ts';
import type { ModelConfig } from '../../config.ts';
import { encodeFloat32 } from '../numbers.ts';
import type { Checkpoint } from '../types.ts';
import { architectureFor } from './config.ts';
import { type Gguf, readGguf } from './read.ts';
import { llama3Factors } from './rope-scaling.ts';
import type { ByteSource } from './source.ts';
import { ggufName } from './tensors.ts';
import { type GgufEntry, type GgufTensorToWrite, ggufEntry, ggufHead } from './write.ts';

/** A GGUF of which the metadata is taken. */
export interface GgufTemplate {
  readonly gguf: Gguf;
  /** Its bytes; those of the weights need not be there. */
  readonly source: ByteSource;
  /** Its name in errors. */
  readonly where: string;
}

/**
 * What a GGUF of `checkpoint` says before its weights; of the data there are only the rotary factors.
 *
 * @param model what its config computes
 * @param vocabulary the entries `tokenizer.*`
 * @throws InputError for an architecture or a tensor that llama.cpp has no name for
 */
export function templateOf(
  checkpoint: Checkpoint,
  model: ModelConfig,
  vocabulary: readonly GgufEntry[],
): GgufTemplate {
  const [name, architecture] = architectureFor(model.modelType) ?? [];
  if (name === undefined || architecture === undefined)
    throw unsaid(checkpoint.path, `llama.cpp has no architecture for ${model.modelType}`);
  const factors = rotaryFactors(checkpoint, model);
  const weights = [...checkpoint.tensors].map(([tensor, { shape }]) => {
    const theirs = ggufName(tensor, architecture);
    if (theirs === undefined) throw unsaid(checkpoint.path, `llama.cpp has no name for ${tensor}`);
    return { name: theirs, shape, type: shape.length > 1 ? 'F16' : 'F32' } as const;
  });
  const tensors: Omit<GgufTensorToWrite, 'values'>[] = [...weights];
  if (factors !== undefined)
    tensors.unshift({ name: 'rope_freqs.weight', shape: [factors.length], type: 'F32' });
  const entries = [...architectureEntries(name, model), ...vocabulary].map((entry) => ggufEntry(...entry));
  const { head, dataBytes } = ggufHead(entries, tensors);
  const known = Buffer.concat([head, encodeFloat32('F32', Float32Array.from(factors ?? []))]);
  const source = beginning(known, head.length + dataBytes);
  return { gguf: readGguf(source, checkpoint.path), source, where: checkpoint.path };
}

/** A file of `size` bytes of which only the first are there; zeros stand for the rest. */
function beginning(known: Uint8Array, size: number): ByteSource {
  return {
    size,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      bytes.set(known.subarray(offset, offset + length));
      return bytes;
    },
  };
}

/** The error for what a GGUF cannot say. */
export function unsaid(where: string, what: string): InputError {
  return new InputError(`${where}: ${what}; if it was made from a GGUF, give that one with --like`, {
    id: 'model-unsupported',
  });
}

function architectureEntries(name: string, model: ModelConfig): GgufEntry[] {
  const [global] = model.blocks.filter(({ window }) => window === undefined);
  const [local] = model.blocks.filter(({ window }) => window !== undefined);
  const { rope } = global ?? local ?? {};
  const entries: GgufEntry[] = [
    ['block_count', 'u32', model.blocks.length],
    ['context_length', 'u32', model.contextLength],
    ['embedding_length', 'u32', model.dModel],
    ['feed_forward_length', 'u32', model.dMlp],
    ['attention.head_count', 'u32', model.nHeads],
    ['attention.head_count_kv', 'u32', model.nKvHeads],
    ['attention.key_length', 'u32', model.headDim],
    ['attention.value_length', 'u32', model.headDim],
    ['attention.layer_norm_rms_epsilon', 'f32', model.normEps],
    ['rope.dimension_count', 'u32', model.headDim],
    ['vocab_size', 'u32', model.vocabSize],
  ];
  if (rope !== undefined) entries.push(['rope.freq_base', 'f32', rope.theta]);
  if (rope?.scaling.kind === 'linear')
    entries.push(
      ['rope.scaling.type', 'string', 'linear'],
      ['rope.scaling.factor', 'f32', rope.scaling.factor],
    );
  if (local?.window !== undefined && global !== undefined)
    entries.push(['attention.sliding_window', 'u32', local.window]);
  if (model.attentionSoftcap !== undefined)
    entries.push(['attn_logit_softcapping', 'f32', model.attentionSoftcap]);
  if (model.logitSoftcap !== undefined) entries.push(['final_logit_softcapping', 'f32', model.logitSoftcap]);
  return [
    ['general.architecture', 'string', name],
    ...entries.map(([key, ...value]) => [`${name}.${key}`, ...value] as GgufEntry),
  ];
}

/** What llama.cpp divides each rotary frequency by, where the scaling is Llama 3's: [headDim / 2]. */
function rotaryFactors(checkpoint: Checkpoint, { blocks, headDim }: ModelConfig): number[] | undefined {
  const rope = blocks[0]?.rope;
  if (rope?.scaling.kind !== 'llama3') return undefined;
  const factors = llama3Factors(rope.scaling.factor, rope.theta, headDim);
  if (!factors.every(Number.isFinite))
    throw unsaid(checkpoint.path, 'its rotary scaling has no finite factors');
  return factors;
}
