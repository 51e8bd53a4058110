/** @file What an opened checkpoint is: tensors that lie in files, a config, and nothing loaded yet. */
import type { Dtype } from './dtypes.ts';
import type { GgufMetadata } from './gguf/read.ts';

/** Where one tensor lies. The bytes are little-endian, row-major, and are used in place. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  /** Outermost dimension first; `[]` is a scalar. */
  readonly shape: readonly number[];
  /** Real path (no symlinks) of the safetensors file. */
  readonly file: string;
  /** First byte, counted from the start of the file; may be unaligned. */
  readonly offset: number;
  readonly byteLength: number;
}

/** One tensor in memory: `dtype` is what the file holds, `data` its values as float32, row-major. */
export interface CheckpointTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A matrix as 4-bit planes: W[n, k] = Σ_p scale_p[n, b]·(code_p[n, k] − 8) + shift[n, b], b the block of k. */
export interface PackedTensor {
  readonly shape: readonly [rows: number, width: number];
  /** Values that share a scale. */
  readonly block: number;
  /** Codes U8 [N, blocks, block / 2], value 2j of a block in the low half of its byte j; scales F32 [N, blocks]. */
  readonly planes: readonly { readonly codes: TensorInfo; readonly scales: TensorInfo }[];
  /** F32 [N, blocks]; undefined where it is zero. */
  readonly shift: TensorInfo | undefined;
}

/** Weights of a quantised file that are not turned into floats. */
export interface PackedWeights {
  /** By Hugging Face name. What is not here is in `tensors`. */
  readonly matrices: ReadonlyMap<string, PackedTensor>;
  /** The embedding, one row at a time, where the file has it. */
  readonly embedding: {
    readonly file: string;
    readonly offset: number;
    readonly rowBytes: number;
    readonly decode: (bytes: Uint8Array, out: Float32Array) => void;
  };
}

/** How a model's matrices are held: in float32 (cast from what the file has), or quantised as the file has them. */
export type WeightsForm = 'f32' | 'packed';

/** What a model's files say before any weight is read. */
export interface CheckpointHeaders {
  /** The path that was opened. */
  readonly path: string;
  readonly kind: 'hf' | 'gguf';
  /** `config.json`, or its equal made from GGUF metadata. Not yet checked for meaning. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `generation_config.json` when there is one; for a GGUF its special token ids. */
  readonly generationConfig?: Readonly<Record<string, unknown>>;
  /** For people: how this view differs from the files (the text part of a multimodal model, a head that is kept). */
  readonly notes: readonly string[];
  /** Every tensor by its Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`, as the files store it: `F16`, `Q4_K`. */
  readonly stored: ReadonlyMap<string, { readonly type: string; readonly shape: readonly number[] }>;
  /** All metadata of the GGUF (tokenizer, chat template), for `kind: 'gguf'`. */
  readonly gguf?: GgufMetadata;
}

/** A model on disk. Holds no handles: nothing to dispose. */
export interface Checkpoint extends CheckpointHeaders {
  /** Real folder that holds every file of `tensors` and `packed` (ONNX Runtime takes one folder a session, no symlinks). */
  readonly folder: string;
  /** Tensors held as floats, by Hugging Face name; all of them, unless there is `packed`. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The matrices that are held quantised, where this was asked for and the file is a quantised GGUF. */
  readonly packed?: PackedWeights;
  /** Read one tensor as float32. Throws `CheckpointError` when there is none of that name. */
  readTensor(name: string): Promise<CheckpointTensor>;
  /** SHA-256 (hex) over all weights, config and tokenizer files. Reads every byte once; remembered. */
  contentHash(): Promise<string>;
}
