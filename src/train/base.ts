/** @file The model a fine-tuning run starts from: weights, tokenizer, and the files that go on beside new weights. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Checkpoint,
  loadTokenizer,
  openCheckpoint,
  resolveModel,
  type Tokenizer,
  tokenizerTextsFromGguf,
} from '../models/index.ts';
import { mergeAdapters } from './adapters.ts';
import { loadParameters } from './parameters.ts';
import { loadAdapter } from './peft.ts';
import { saveModel } from './save-model.ts';

/** A model in memory. */
export interface Base extends Awaited<ReturnType<typeof loadParameters>> {
  readonly checkpoint: Checkpoint;
  /** Read when first asked for. */
  readonly tokenizer: () => Promise<Tokenizer>;
}

/** Open a bundled model, a Hugging Face folder, a GGUF file or a model of the hub. */
export async function openBase(model: string): Promise<Base> {
  const checkpoint = await openCheckpoint((await resolveModel(model)).path);
  let tokenizer: Promise<Tokenizer> | undefined;
  return {
    checkpoint,
    ...(await loadParameters(checkpoint)),
    tokenizer: () =>
      (tokenizer ??= loadTokenizer(
        checkpoint.gguf === undefined ? { folder: checkpoint.path } : { gguf: checkpoint.gguf },
      )),
  };
}

/**
 * Write the model that an adapter makes of its base, as a Hugging Face folder of its own.
 *
 * @example await mergeAdapterFolder({ model: 'models/base', adapter: 'models/adapter', out: 'models/merged' });
 */
export async function mergeAdapterFolder(options: {
  readonly model: string;
  readonly adapter: string;
  readonly out: string;
  /** s in W + s·(alpha/rank)·B·A: 0 gives the base, 1 the adapter as it was trained. Defaults to 1. */
  readonly scale?: number;
  /** Defaults to F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
}): Promise<void> {
  const { scale = 1 } = options;
  const { checkpoint, config, parameters } = await openBase(options.model);
  const { lora, factors } = await loadAdapter(options.adapter, config);
  const scaled = { ...lora, alpha: scale * lora.alpha };
  await saveModel(options.out, mergeAdapters(new Map([...parameters, ...factors]), scaled), {
    config: checkpoint.config,
    files: await companions(checkpoint),
    dtype: options.dtype,
  });
}

const companionNames = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'generation_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

/** Text files that belong beside weights: tokenizer, generation settings, chat template. */
export async function companions(checkpoint: Checkpoint): Promise<Record<string, string>> {
  if (checkpoint.gguf !== undefined) return tokenizerTextsFromGguf(checkpoint.gguf);
  const found: Record<string, string> = {};
  for (const name of companionNames) {
    const text = await readFile(join(checkpoint.path, name), 'utf8').catch(() => undefined);
    if (text !== undefined) found[name] = text;
  }
  return found;
}
