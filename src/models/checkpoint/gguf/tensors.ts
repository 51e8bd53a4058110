/** @file GGUF tensors by their Hugging Face names, and what llama.cpp did to their values, undone. */
import { CheckpointError, show } from '../errors.ts';
import { architectureOf, type GgufArchitecture } from './config.ts';
import type { Gguf, GgufTensor } from './read.ts';
import { readableTypes } from './types.ts';

/** One tensor of the Hugging Face view. */
export interface PlannedTensor {
  /** e.g. `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly source: GgufTensor;
  /** Undo llama.cpp's row order: groups of this many rows (one head) are un-permuted. */
  readonly unpermuteHead?: number;
  /** Subtract 1 from each value: Gemma's norms. */
  readonly minusOne?: true;
}

/** Tensors outside the blocks. */
const OUTER: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};

/** Stems inside `blk.N.`; `ffn_norm` depends on the architecture. */
const INNER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  post_attention_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** Rotary tables that the config already says (`ropeScaling` reads the first; the second is an old precomputed table). */
const IGNORED = /^(rope_freqs\.weight|blk\.\d+\.attn_rot_embd(\.weight)?)$/;

/**
 * The Hugging Face tensors of a GGUF, in the order of the file's directory.
 *
 * @param config what `ggufConfig` made of the same file
 * @throws CheckpointError naming the first tensor that has an unknown name, a type we cannot read, or a bad shape
 */
export function planTensors(
  gguf: Gguf,
  config: Readonly<Record<string, unknown>>,
  where: string,
): PlannedTensor[] {
  const [, architecture] = architectureOf(gguf, where);
  const plan: PlannedTensor[] = [];
  for (const source of gguf.tensors.values()) {
    if (IGNORED.test(source.name)) continue;
    const at = `${where}: tensor ${show(source.name)}`;
    const name = huggingFaceName(source.name, architecture, Number(config.num_hidden_layers));
    if (name === undefined)
      throw new CheckpointError(at, {
        id: 'model-unsupported',
        wanted: `a tensor of ${architecture.className}`,
        got: 'an unknown one',
        next: 'this variant of the architecture is not supported',
      });
    if (source.type.dequantise === undefined)
      throw new CheckpointError(at, {
        id: 'model-unsupported',
        wanted: `type ${readableTypes.join(', ')}`,
        got: source.type.name,
        next: 'take the Q8_0 or Q4_K_M file of the same model',
      });
    const permuted = architecture.permutedQk && /\.(q|k)_proj\.(weight|bias)$/.test(name);
    plan.push({
      name,
      shape: source.shape,
      source,
      ...(permuted ? { unpermuteHead: headRows(source, Number(config.head_dim), at) } : {}),
      ...(architecture.normsPlusOne && name.endsWith('norm.weight') ? { minusOne: true as const } : {}),
    });
  }
  return plan;
}

function huggingFaceName(name: string, architecture: GgufArchitecture, layers: number): string | undefined {
  if (Object.hasOwn(OUTER, name)) return OUTER[name];
  const [, layer, stem, kind] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.(weight|bias)$/.exec(name) ?? [];
  if (layer === undefined || stem === undefined || Number(layer) >= layers) return undefined;
  const inner =
    stem === 'ffn_norm' ? architecture.ffnNorm : Object.hasOwn(INNER, stem) ? INNER[stem] : undefined;
  return inner === undefined ? undefined : `model.layers.${layer}.${inner}.${kind}`;
}

/** llama.cpp's name of a tensor of the Hugging Face view; undefined where it has none. */
export function ggufName(name: string, architecture: GgufArchitecture): string | undefined {
  const outer = Object.keys(OUTER).find((key) => OUTER[key] === name);
  if (outer !== undefined) return outer;
  const [, layer, inner, kind] = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name) ?? [];
  const stem =
    inner === architecture.ffnNorm ? 'ffn_norm' : Object.keys(INNER).find((key) => INNER[key] === inner);
  return stem === undefined ? undefined : `blk.${layer}.${stem}.${kind}`;
}

/** llama.cpp's name of an MLP bias of the Hugging Face view, where it reads one that the file may lack; undefined for other tensors. */
export function optionalBiasName(name: string, architecture: GgufArchitecture): string | undefined {
  return architecture.optionalMlpBias && /\.mlp\.(gate|up|down)_proj\.bias$/.test(name)
    ? ggufName(name, architecture)
    : undefined;
}

/** Rows of one head; the first dimension must be whole heads, and a bias must not be in blocks. */
function headRows(tensor: GgufTensor, headDim: number, at: string): number {
  if (
    tensor.shape[0]! % headDim !== 0 ||
    tensor.shape.length > 2 ||
    (tensor.shape.length === 1 && tensor.type.values > 1)
  )
    throw new CheckpointError(at, {
      wanted: `whole heads of ${headDim} rows`,
      got: `${tensor.type.name} [${tensor.shape.join(', ')}]`,
    });
  return headDim;
}

/** Bytes decoded at a time, as float32 values: 4 M values are 16 MiB. */
const PIECE_VALUES = 1 << 22;

/**
 * Values of a planned tensor as float32, row-major, in pieces of about 4 M values (at least a row, or a head where
 * rows move within one). A piece is only valid until the next is asked for.
 *
 * @param read gives `length` bytes of the GGUF from `offset`
 */
export async function* plannedValues(
  tensor: PlannedTensor,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): AsyncGenerator<Float32Array> {
  const { source, unpermuteHead, minusOne } = tensor;
  const { type } = source;
  // a row is what moves as one: a line of a matrix, one value of a permuted bias, else any run of whole blocks
  const vector = tensor.shape.length === 1;
  const rowValues = vector ? type.values : tensor.shape.at(-1)!;
  const rowBytes = (rowValues / type.values) * type.bytes;
  const rows = source.byteLength / rowBytes;
  const unit = unpermuteHead ?? 1;
  const rowsAtOnce = Math.max(unit, Math.floor(PIECE_VALUES / rowValues / unit) * unit);
  const whole = new Float32Array(Math.min(rows, rowsAtOnce) * rowValues);
  const moved = unpermuteHead === undefined ? undefined : new Float32Array(whole.length);
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const n = Math.min(rowsAtOnce, rows - row);
    const values = whole.subarray(0, n * rowValues);
    type.dequantise!(await read(source.offset + row * rowBytes, n * rowBytes), values);
    if (minusOne) for (let i = 0; i < values.length; i++) values[i] = values[i]! - 1;
    if (moved === undefined || unpermuteHead === undefined) yield values;
    else {
      unpermute(values, moved, unpermuteHead, rowValues);
      yield moved.subarray(0, values.length);
    }
  }
}

/**
 * Bytes of a planned matrix as the file quantises them, rows in their Hugging Face order, in pieces of whole rows of about `values`
 * values (at least a row, or a head where rows move within one). A piece is only valid until the next is asked for.
 */
export async function* plannedBytes(
  { source, shape, unpermuteHead }: PlannedTensor,
  read: (offset: number, length: number) => Promise<Uint8Array>,
  values: number,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly rows: number }> {
  const [count, width] = shape as [number, number];
  const rowBytes = source.byteLength / count;
  const unit = unpermuteHead ?? 1;
  const rowsAtOnce = Math.max(unit, Math.floor(values / width / unit) * unit);
  for (let row = 0; row < count; row += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, count - row);
    const bytes = await read(source.offset + row * rowBytes, rows * rowBytes);
    if (unpermuteHead === undefined) yield { bytes, rows };
    else {
      const moved = new Uint8Array(bytes.length);
      unpermute(bytes, moved, unpermuteHead, rowBytes);
      yield { bytes: moved, rows };
    }
  }
}

/**
 * llama.cpp's converter interleaves the two halves of each head, `[2, h/2] → [h/2, 2]`, because its rotary turns
 * neighbours (2j, 2j+1) where transformers turns (j, j + h/2). Back: row j + p·h/2 of a head is its row 2j + p.
 */
function unpermute<A extends Float32Array | Uint8Array>(
  from: A,
  to: A,
  head: number,
  rowValues: number,
): void {
  const half = head / 2;
  for (let start = 0; start < from.length / rowValues; start += head)
    for (let j = 0; j < half; j++)
      for (let p = 0; p < 2; p++) {
        const at = (start + 2 * j + p) * rowValues;
        to.set(from.subarray(at, at + rowValues), (start + j + p * half) * rowValues);
      }
}

/** Values of a tensor as llama.cpp wants them: what {@link plannedValues} undoes, done. `values` is changed, or a copy is returned. */
export function ggufValues(
  { unpermuteHead, minusOne, shape }: PlannedTensor,
  values: Float32Array,
): Float32Array {
  if (minusOne) for (let i = 0; i < values.length; i++) values[i] = values[i]! + 1;
  if (unpermuteHead === undefined) return values;
  const rowValues = shape.length === 1 ? 1 : shape.at(-1)!;
  const half = unpermuteHead / 2;
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length / rowValues; start += unpermuteHead)
    for (let j = 0; j < half; j++)
      for (let p = 0; p < 2; p++) {
        const at = (start + j + p * half) * rowValues;
        out.set(values.subarray(at, at + rowValues), (start + 2 * j + p) * rowValues);
      }
  return out;
}
