/** @file The files of a model, opened and checked against each other before any weight is read. */
import { InputError } from '../base/index.ts';
import {
  type Checkpoint,
  type CheckpointHeaders,
  inspectCheckpoint,
  inspectWithoutWeights,
  type OpenCheckpointOptions,
  openCheckpoint,
} from './checkpoint/index.ts';
import type { ModelConfig } from './config.ts';
import { parseModelConfig } from './families/index.ts';
import { loadTokenizer, type Tokenizer } from './tokenizer/index.ts';

/** What {@link openModelFiles} and {@link inspectModelFiles} give. */
interface ModelFiles<C extends CheckpointHeaders> {
  readonly checkpoint: C;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
}

/**
 * Open a Hugging Face folder or a GGUF file with its tokenizer.
 * @throws InputError when the files are damaged, of a family we do not run, or the tokenizer is another model's
 */
export async function openModelFiles(
  path: string,
  options: OpenCheckpointOptions = {},
): Promise<ModelFiles<Checkpoint>> {
  return described(await openCheckpoint(path, options));
}

/**
 * {@link openModelFiles} by what the files say of themselves: no weight is read, nothing is written. `weights` false: those of the folder
 * are not there yet, and nothing is checked against them.
 */
export async function inspectModelFiles(
  path: string,
  { weights = true }: { readonly weights?: boolean } = {},
): Promise<ModelFiles<CheckpointHeaders>> {
  return described(await (weights ? inspectCheckpoint(path) : inspectWithoutWeights(path)));
}

async function described<C extends CheckpointHeaders>(checkpoint: C): Promise<ModelFiles<C>> {
  const config = parseModelConfig(checkpoint.config, checkpoint.path);
  const tokenizer = await loadTokenizer(
    checkpoint.gguf === undefined ? { folder: checkpoint.path } : { gguf: checkpoint.gguf },
  );
  checkTokenizer(tokenizer, config, checkpoint.path);
  return { checkpoint, config, tokenizer };
}

/**
 * Refuse a tokenizer of another model: one whose text has ids the embedding lacks, or none of whose tokens is the end the model's files
 * name. A smaller vocabulary is no sign (embeddings are padded), nor are added tokens beyond it (Gemma's `<image_soft_token>`).
 */
function checkTokenizer(tokenizer: Tokenizer, { vocabSize }: ModelConfig, path: string): void {
  const { largestTextId, eosIds } = tokenizer;
  const next = 'it belongs to another model; take the tokenizer files from the folder the model came from';
  if (largestTextId >= vocabSize)
    throw new InputError(
      `${path}: wanted a tokenizer of at most ${vocabSize} tokens, as the embedding has rows, got one with token ids up to ${largestTextId}: ${next}`,
      { id: 'tokenizer-mismatch' },
    );
  if (eosIds.length > 0 && eosIds.every((id) => id >= vocabSize || tokenizer.idToToken(id) === undefined))
    throw new InputError(
      `${path}: the model ends its text with token ${eosIds.join(' or ')}, which ${eosIds.some((id) => tokenizer.idToToken(id) !== undefined) ? `the embedding of ${vocabSize} rows` : `the tokenizer of ${tokenizer.vocabSize} tokens`} does not have: ${next}`,
      { id: 'tokenizer-mismatch' },
    );
}
