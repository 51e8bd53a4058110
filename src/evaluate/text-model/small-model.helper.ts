/** @file A small sequence classifier on disk, its weights known: the mean of its tokens' embeddings times a matrix. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  cast,
  constant,
  div,
  gatherRows,
  input,
  matmul,
  mul,
  reduceSum,
  reshape,
  tensor,
} from '../../engine/index.ts';
import { emitOnnx } from '../../engine/onnx/emit.ts';

/** Of D-wide embeddings and C labels. */
export interface SmallClassifier {
  /** Words, by id; the first stands for all unknown ones. */
  readonly words: readonly string[];
  /** A row per word, [V,D]. */
  readonly embedding: readonly (readonly number[])[];
  /** [D,C] */
  readonly weights: readonly (readonly number[])[];
  /** Written to config.json. */
  readonly config?: object;
  /** Put before and after every text. */
  readonly around?: readonly [string, string];
}

/** Write model, tokenizer and config to a folder; the ONNX file under `file`. */
export async function writeClassifier(
  folder: string,
  { words, embedding, weights, config, around }: SmallClassifier,
  file = 'model.onnx',
): Promise<void> {
  const [d, c] = [weights.length, weights[0]?.length ?? 0];
  const table = constant(tensor('f32', [words.length, d], Float32Array.from(embedding.flat())));
  const ids = input('input_ids', 'i64', ['B', 'T']);
  const mask = cast(input('attention_mask', 'i64', ['B', 'T']), 'f32');
  const rows = mul(gatherRows(table, ids), reshape(mask, ['B', 'T', 1]));
  const sum = reduceSum(rows, [1]);
  const count = reshape(reduceSum(mask, [1]), ['B', 1]);
  const logits = matmul(div(sum, count), constant(tensor('f32', [d, c], Float32Array.from(weights.flat()))));
  const path = join(folder, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, emitOnnx({ name: 'classifier', outputs: { logits } }));
  const idOf = Object.fromEntries(words.map((word, id) => [word, id]));
  const special = around?.map((content) => ({
    id: idOf[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizer = {
    version: '1.0',
    added_tokens: special ?? [],
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: around && {
      type: 'BertProcessing',
      cls: [around[0], idOf[around[0]]],
      sep: [around[1], idOf[around[1]]],
    },
    decoder: null,
    model: { type: 'WordLevel', vocab: idOf, unk_token: words[0] },
  };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  if (config !== undefined) await writeFile(join(folder, 'config.json'), JSON.stringify(config));
}
