/** @file What a decoder computes, in one description for every family. Families (`families/*.ts`) translate `config.json` into it. */

/** Rotary frequencies of one kind of block. */
export interface RopeConfig {
  /** Base of the geometric frequency series (`rope_theta`). */
  readonly theta: number;
  readonly scaling:
    | { readonly kind: 'none' }
    /** Positions divided by `factor`. */
    | { readonly kind: 'linear'; readonly factor: number }
    /** Llama 3.1's frequency-dependent scaling. */
    | {
        readonly kind: 'llama3';
        readonly factor: number;
        readonly lowFreqFactor: number;
        readonly highFreqFactor: number;
        readonly originalContext: number;
      };
}

/** What differs from block to block. */
export interface BlockConfig {
  /** Tokens a query sees, itself included; absent = all before it. */
  readonly window?: number;
  readonly rope: RopeConfig;
}

/** A decoder-only transformer. Sizes in elements; `blocks.length` is the number of blocks. */
export interface ModelConfig {
  /** Hugging Face `model_type`. */
  readonly modelType: string;
  readonly vocabSize: number;
  /** Width of the residual stream (`d_model`, hidden_size). */
  readonly dModel: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly headDim: number;
  /** Width inside the gated MLP (`d_mlp`, intermediate_size). */
  readonly dMlp: number;
  /** Longest sequence the model was made for (`n_ctx`). */
  readonly contextLength: number;
  readonly normEps: number;
  /** Gemma stores RMSNorm gains as w and multiplies by 1 + w. */
  readonly normGain: 'w' | '1+w';
  readonly activation: 'silu' | 'geluTanh';
  readonly qkvBias: boolean;
  readonly outBias: boolean;
  readonly mlpBias: boolean;
  /** RMSNorm of every query and key head before the rotary embedding. */
  readonly qkNorm: boolean;
  /** A second norm after attention and after the MLP, before they are added (Gemma 2 and 3). */
  readonly sandwichNorms: boolean;
  /** Embeddings are multiplied by this before block 0. */
  readonly embedScale: number;
  readonly attentionScale: number;
  readonly attentionSoftcap?: number;
  readonly logitSoftcap?: number;
  /** The head is the embedding table. */
  readonly tied: boolean;
  readonly blocks: readonly BlockConfig[];
}
