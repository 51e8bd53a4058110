/** @file The tensors of a decoder: names as Hugging Face stores them, shapes from the config, and their bytes in place. */
import { closeSync, openSync, readSync } from 'node:fs';
import { relative } from 'node:path';
import { CrosspatchError, InputError, type Owned } from '../../base/index.ts';
import {
  add,
  cast,
  type DType,
  type ExternalData,
  linear,
  type Node,
  packedLinear,
  reduceSum,
  reshape,
  weight,
} from '../../engine/index.ts';
import type { Checkpoint, CheckpointHeaders, TensorInfo } from '../checkpoint/index.ts';
import { decodeFloats } from '../checkpoint/index.ts';
import type { ModelConfig } from '../config.ts';

/** One tensor of a block, by role. */
export type BlockRole =
  | 'inputNorm'
  | 'q'
  | 'k'
  | 'v'
  | 'o'
  | 'qBias'
  | 'kBias'
  | 'vBias'
  | 'oBias'
  | 'qNorm'
  | 'kNorm'
  | 'postAttentionNorm'
  | 'mlpNorm'
  | 'gate'
  | 'up'
  | 'down'
  | 'gateBias'
  | 'upBias'
  | 'downBias'
  | 'postMlpNorm';

/** Name inside a block and shape of every tensor this config has. Matrices are [out, in]. */
export function blockTensors(
  c: ModelConfig,
): Partial<Record<BlockRole, { readonly name: string; readonly shape: readonly number[] }>> {
  const dq = c.nHeads * c.headDim;
  const dkv = c.nKvHeads * c.headDim;
  const d = c.dModel;
  return {
    inputNorm: { name: 'input_layernorm.weight', shape: [d] },
    q: { name: 'self_attn.q_proj.weight', shape: [dq, d] },
    k: { name: 'self_attn.k_proj.weight', shape: [dkv, d] },
    v: { name: 'self_attn.v_proj.weight', shape: [dkv, d] },
    o: { name: 'self_attn.o_proj.weight', shape: [d, dq] },
    ...(c.qkvBias
      ? {
          qBias: { name: 'self_attn.q_proj.bias', shape: [dq] },
          kBias: { name: 'self_attn.k_proj.bias', shape: [dkv] },
          vBias: { name: 'self_attn.v_proj.bias', shape: [dkv] },
        }
      : {}),
    ...(c.outBias ? { oBias: { name: 'self_attn.o_proj.bias', shape: [d] } } : {}),
    ...(c.qkNorm
      ? {
          qNorm: { name: 'self_attn.q_norm.weight', shape: [c.headDim] },
          kNorm: { name: 'self_attn.k_norm.weight', shape: [c.headDim] },
        }
      : {}),
    // Where the norms sit around attention and the MLP decides what `post_attention_layernorm` means.
    ...(c.sandwichNorms
      ? {
          postAttentionNorm: { name: 'post_attention_layernorm.weight', shape: [d] },
          mlpNorm: { name: 'pre_feedforward_layernorm.weight', shape: [d] },
          postMlpNorm: { name: 'post_feedforward_layernorm.weight', shape: [d] },
        }
      : { mlpNorm: { name: 'post_attention_layernorm.weight', shape: [d] } }),
    gate: { name: 'mlp.gate_proj.weight', shape: [c.dMlp, d] },
    up: { name: 'mlp.up_proj.weight', shape: [c.dMlp, d] },
    down: { name: 'mlp.down_proj.weight', shape: [d, c.dMlp] },
    ...(c.mlpBias
      ? {
          gateBias: { name: 'mlp.gate_proj.bias', shape: [c.dMlp] },
          upBias: { name: 'mlp.up_proj.bias', shape: [c.dMlp] },
          downBias: { name: 'mlp.down_proj.bias', shape: [d] },
        }
      : {}),
  };
}

export const EMBED = 'model.embed_tokens.weight';
export const FINAL_NORM = 'model.norm.weight';
export const HEAD = 'lm_head.weight';

/** Full name of a block's tensor. */
export const blockTensorName = (layer: number, name: string): string => `model.layers.${layer}.${name}`;

/** Every tensor the config needs: full name → shape. The head is missing when tied. */
export function allTensors(c: ModelConfig): Map<string, readonly number[]> {
  const all = new Map<string, readonly number[]>([[EMBED, [c.vocabSize, c.dModel]]]);
  c.blocks.forEach((_, i) => {
    for (const t of Object.values(blockTensors(c))) all.set(blockTensorName(i, t.name), t.shape);
  });
  all.set(FINAL_NORM, [c.dModel]);
  if (!c.tied) all.set(HEAD, [c.vocabSize, c.dModel]);
  return all;
}

/** Weights of a model of this config, each counted once: a tied head is the embedding. */
export function parameterCount(c: ModelConfig): number {
  let total = 0;
  for (const shape of allTensors(c).values()) total += shape.reduce((a, b) => a * b, 1);
  return total;
}

/** Tensors that files carry though nothing needs them: rotary tables of old exports, and the head of a tied model. */
const ignorable = (c: ModelConfig, name: string): boolean =>
  /rotary_emb\.inv_freq$/.test(name) || (c.tied && name === HEAD);

/** Refuse a checkpoint whose tensors are not exactly those of its config. */
export function checkTensors(c: ModelConfig, { stored, path: where }: CheckpointHeaders): void {
  const wanted = allTensors(c);
  for (const [name, shape] of wanted) {
    const t = stored.get(name);
    if (t === undefined)
      throw new InputError(`${where}: tensor ${name} [${shape.join(',')}] is missing`, {
        id: 'checkpoint-damaged',
      });
    if (t.shape.length !== shape.length || t.shape.some((n, i) => n !== shape[i])) {
      throw new InputError(
        `${where}: tensor ${name}: config.json wants [${shape.join(',')}], the file has [${t.shape.join(',')}]`,
        { id: 'checkpoint-damaged' },
      );
    }
    if (NO_WEIGHT.includes(t.type))
      throw new InputError(`${where}: tensor ${name}: dtype ${t.type} is not a floating-point weight`, {
        id: 'checkpoint-damaged',
      });
  }
  const extra = [...stored.keys()].filter((n) => !wanted.has(n) && !ignorable(c, n));
  if (extra.length > 0) {
    throw new InputError(
      `${where}: ${extra.length} tensors that ${c.modelType} does not have (${extra.slice(0, 3).join(', ')}${extra.length > 3 ? ', …' : ''}); leaving them out would compute another model`,
      { id: 'checkpoint-damaged' },
    );
  }
}

/** Safetensors dtypes that are no weights; the quantised types of a GGUF are. */
const NO_WEIGHT: readonly string[] = ['I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];

const storedAs: Readonly<Record<string, DType>> = {
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F64: 'f64',
  U8: 'u8',
};

/**
 * A checkpoint's weights as graph leaves and file ranges; embedding rows are read one by one, so the table is never in memory. One of
 * {@link WeightFiles.leaf} and {@link WeightFiles.project} is asked for each tensor of a graph, with the graph's `sources`.
 */
export class WeightFiles implements Owned {
  readonly checkpoint: Checkpoint;
  readonly #open = new Map<string, number>();
  /** Bytes of the row being read. */
  #row = new Uint8Array(0);
  #disposed = false;

  constructor(checkpoint: Checkpoint) {
    this.checkpoint = checkpoint;
  }

  #info(name: string): TensorInfo {
    const info = this.checkpoint.tensors.get(name);
    if (info === undefined)
      throw new CrosspatchError(`weights: ${this.checkpoint.path} has no tensor ${name}`, {
        id: 'checkpoint-damaged',
      });
    return info;
  }

  /** The tensor as an f32 graph node (cast from what the file stores; the cast is folded when the session loads). `rows` takes rows a…b−1. */
  leaf(name: string, sources: Sources, rows?: Rows): Node {
    const info = this.#info(name);
    return cast(this.#raw(info, name, sources, rows), 'f32');
  }

  /** x [..., in] through the matrix `name` [out, in] → [..., out]; `rows` takes its rows a…b−1. */
  project(x: Node, name: string, sources: Sources, rows?: Rows): Node {
    const packed = this.checkpoint.packed?.matrices.get(name);
    if (packed === undefined) return linear(x, this.leaf(name, sources, rows));
    const { planes, shift, block } = packed;
    const raw = (info: TensorInfo): Node => this.#raw(info, info.name, sources, rows);
    const y = planes
      .map(({ codes, scales }) => packedLinear(x, raw(codes), raw(scales)))
      .reduce((sum, plane) => add(sum, plane));
    return shift === undefined ? y : add(y, linear(blockSums(x, block, sources), raw(shift)));
  }

  /** The tensor as the file stores it. */
  #raw(
    { dtype, shape, file, offset, byteLength }: TensorInfo,
    name: string,
    sources: Sources,
    rows?: Rows,
  ): Node {
    const place = relative(this.checkpoint.folder, file);
    const rowBytes = byteLength / (shape[0] as number);
    const [from, to] = rows ?? [0, shape[0] as number];
    sources.used[name] = {
      file: place,
      offset: offset + from * rowBytes,
      byteLength: (to - from) * rowBytes,
    };
    return weight(name, storedAs[dtype] as DType, [to - from, ...shape.slice(1)]);
  }

  /** Write row `index` of the embedding, as float32, at `at` of `out`. */
  readEmbedding(index: number, out: Float32Array, at: number): void {
    const { file, offset, rowBytes, decode } = this.checkpoint.packed?.embedding ?? this.#rowsOf(EMBED);
    let fd = this.#open.get(file);
    if (fd === undefined) {
      if (this.#disposed)
        throw new CrosspatchError(`weights: ${this.checkpoint.path} was already disposed`, {
          id: 'checkpoint-damaged',
        });
      fd = openSync(file, 'r');
      this.#open.set(file, fd);
    }
    if (this.#row.length !== rowBytes) this.#row = new Uint8Array(rowBytes);
    if (readSync(fd, this.#row, 0, rowBytes, offset + index * rowBytes) !== rowBytes)
      throw new InputError(`${file}: ended inside ${EMBED}; the file changed while it was in use`, {
        id: 'checkpoint-damaged',
      });
    const width = this.checkpoint.stored.get(EMBED)?.shape[1] as number;
    decode(this.#row, out.subarray(at, at + width));
  }

  #rowsOf(name: string) {
    const { file, offset, byteLength, shape, dtype } = this.#info(name);
    const rowBytes = byteLength / (shape[0] as number);
    return { file, offset, rowBytes, decode: decodeFloats.bind(undefined, dtype) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }
}

/** Rows a…b−1 of a matrix. */
type Rows = readonly [from: number, to: number];

/** What the weights of one graph have in common. */
export interface Sources {
  /** Where the bytes of its `weight` leaves lie. */
  readonly used: Record<string, ExternalData>;
  /** Sums over blocks of an activation, by block size: several matrices take the same. */
  readonly sums: Map<Node, Map<number, Node>>;
}

export const noSources = (): Sources => ({ used: {}, sums: new Map() });

/** Sums over neighbouring `block` values: x [..., K] → [..., K / block]. */
function blockSums(x: Node, block: number, { sums }: Sources): Node {
  const of = sums.get(x) ?? new Map<number, Node>();
  sums.set(x, of);
  const width = x.shape.at(-1) as number;
  const sum = of.get(block) ?? reduceSum(reshape(x, [...x.shape.slice(0, -1), width / block, block]), [-1]);
  of.set(block, sum);
  return sum;
}
