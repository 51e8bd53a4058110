/** @file What `models inspect` and `models convert` need to know of a checkpoint without loading its weights. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  allTensors,
  type Checkpoint,
  type CheckpointHeaders,
  EMBED,
  HEAD,
  hookNames,
  loadTokenizer,
  type ModelConfig,
  parameterCount,
  parseModelConfig,
  tokenizerTextsFromGguf,
} from '../models/index.ts';

/** The document of `models inspect --json`. */
export interface ModelDescription {
  readonly path: string;
  readonly kind: 'hf' | 'gguf';
  readonly family: string;
  readonly dtypes: readonly string[];
  readonly parameters: number;
  readonly embedding_parameters: number;
  readonly sizes: Readonly<Record<string, number>>;
  /** What sets the maths apart from a plain Llama, in words. */
  readonly particulars: readonly string[];
  /** How what is run differs from the files. */
  readonly notes: readonly string[];
  readonly float32_bytes: number;
  readonly kv_bytes_per_token: number;
  readonly hooks: readonly string[];
  readonly tokenizer: {
    vocabulary: number;
    bos_id: number | null;
    eos_ids: readonly number[];
    chat_template: boolean;
  };
  readonly parity: string;
}

export async function describeModel(checkpoint: CheckpointHeaders): Promise<ModelDescription> {
  const config = parseModelConfig(checkpoint.config, checkpoint.path);
  const tokenizer = await loadTokenizer(
    checkpoint.gguf === undefined ? { folder: checkpoint.path } : { gguf: checkpoint.gguf },
  );
  const counts = [...allTensors(config)].map(
    ([name, shape]) => [name, shape.reduce((a, b) => a * b, 1)] as const,
  );
  const sum = (keep: (name: string) => boolean): number =>
    counts.reduce((total, [name, n]) => (keep(name) ? total + n : total), 0);
  const parameters = parameterCount(config);
  return {
    path: checkpoint.path,
    kind: checkpoint.kind,
    family: config.modelType,
    dtypes: [...new Set([...checkpoint.stored.values()].map((t) => t.type))],
    parameters,
    embedding_parameters: sum((name) => name === EMBED || name === HEAD),
    sizes: {
      n_layers: config.blocks.length,
      d_model: config.dModel,
      n_heads: config.nHeads,
      n_kv_heads: config.nKvHeads,
      d_head: config.headDim,
      d_mlp: config.dMlp,
      n_ctx: config.contextLength,
      d_vocab: config.vocabSize,
    },
    particulars: particulars(config),
    notes: checkpoint.notes,
    float32_bytes: parameters * 4,
    kv_bytes_per_token: 2 * 4 * config.blocks.length * config.nKvHeads * config.headDim,
    hooks: hookNames(config.blocks.length),
    tokenizer: {
      vocabulary: tokenizer.vocabSize,
      bos_id: tokenizer.bosId ?? null,
      eos_ids: tokenizer.eosIds,
      chat_template: tokenizer.chatTemplate !== undefined,
    },
    parity: PARITY[config.modelType] ?? 'family not checked',
  };
}

/** The tokenizer's files by name, for a converted folder. */
export async function tokenizerTexts(checkpoint: Checkpoint): Promise<Record<string, string>> {
  if (checkpoint.gguf !== undefined) return tokenizerTextsFromGguf(checkpoint.gguf);
  const texts: Record<string, string> = {};
  for (const name of TOKENIZER_FILES) {
    const text = await readFile(join(checkpoint.path, name), 'utf8').catch(() => undefined);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
];

const RANDOM =
  'every residual and the logits of small random models equal transformers 4.57.6 within 1e-4 (test/parity)';
/** How each family was checked; the tests that say so are test/parity/families.test.ts and docs/results/parity.md. */
const PARITY: Readonly<Record<string, string>> = {
  llama: RANDOM,
  mistral: RANDOM,
  qwen2: RANDOM,
  qwen3: RANDOM,
  gemma2: RANDOM,
  gemma3_text: RANDOM,
};

function particulars(c: ModelConfig): string[] {
  const windows = new Set(c.blocks.flatMap((b) => (b.window === undefined ? [] : [b.window])));
  const scalings = new Set(c.blocks.map((b) => b.rope.scaling.kind).filter((kind) => kind !== 'none'));
  return [
    ...(c.tied ? ['head tied to the embedding'] : []),
    ...(c.nKvHeads < c.nHeads ? [`${c.nHeads / c.nKvHeads} query heads share keys and values`] : []),
    ...(c.qkvBias ? ['biases on q, k, v'] : []),
    ...(c.qkNorm ? ['queries and keys are normed'] : []),
    ...(c.sandwichNorms ? ['norms before and after each half block'] : []),
    ...(c.normGain === '1+w' ? ['norm gain 1 + w'] : []),
    ...(c.activation === 'geluTanh' ? ['GELU (tanh)'] : []),
    ...(c.embedScale === 1 ? [] : [`embeddings × ${Number(c.embedScale.toPrecision(5))}`]),
    ...(c.attentionSoftcap === undefined ? [] : [`attention soft-cap ${c.attentionSoftcap}`]),
    ...(c.logitSoftcap === undefined ? [] : [`logit soft-cap ${c.logitSoftcap}`]),
    ...[...windows].map(
      (w) => `sliding window ${w} in ${c.blocks.filter((b) => b.window === w).length} blocks`,
    ),
    ...[...scalings].map((kind) => `rope scaling ${kind}`),
  ];
}
