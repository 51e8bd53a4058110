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

/** A model on disk. Holds no handles: nothing to dispose. */
export interface Checkpoint {
  /** The path that was opened. */
  readonly path: string;
  readonly kind: 'hf' | 'gguf';
  /** Real folder that holds every file of `tensors` (ONNX Runtime takes one folder a session, no symlinks). */
  readonly folder: string;
  /** `config.json`, or its equal made from GGUF metadata. Not yet checked for meaning. */
  readonly config: Readonly<Record<string, unknown>>;
  /** `generation_config.json` when there is one; for a GGUF its special token ids. */
  readonly generationConfig?: Readonly<Record<string, unknown>>;
  /** For people: how this view differs from the files (the text part of a multimodal model, a head that is kept). */
  readonly notes: readonly string[];
  /** Hugging Face names, e.g. `model.layers.0.self_attn.q_proj.weight`. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Read one tensor as float32. Throws `CheckpointError` when there is none of that name. */
  readTensor(name: string): Promise<CheckpointTensor>;
  /** All metadata of the GGUF (tokenizer, chat template), for `kind: 'gguf'`. */
  readonly gguf?: GgufMetadata;
  /** SHA-256 (hex) over all weights, config and tokenizer files. Reads every byte once; remembered. */
  contentHash(): Promise<string>;
}
