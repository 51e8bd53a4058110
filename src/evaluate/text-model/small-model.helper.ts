/** @file Small models of texts on disk, their weights known: the mean of a text's embeddings, times a matrix where labels are wanted. */
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
  type Node,
  reduceSum,
  reshape,
  shift,
  tensor,
} from '../../engine/index.ts';
import { emitOnnx } from '../../engine/onnx/emit.ts';

/** Of D-wide embeddings. */
export interface SmallText {
  /** Words, by id; the first stands for all unknown ones. */
  readonly words: readonly string[];
  /** A row per word, [V,D]. */
  readonly embedding: readonly (readonly number[])[];
  /** Written to config.json. */
  readonly config?: object;
  /** Put before and after every text. */
  readonly around?: readonly [string, string];
}

/** Three words between two marks, in three numbers each. */
export const SMALL_TEXT = {
  words: ['[UNK]', '[CLS]', '[SEP]', 'good', 'bad', 'tea'],
  embedding: [
    [0.1, -0.3, 0.2],
    [0.5, 0.25, -0.125],
    [-0.2, 0.4, 0.3],
    [1.5, -0.5, 0.75],
    [-2, 1, 0.5],
    [0.05, 0.15, -0.25],
  ],
  around: ['[CLS]', '[SEP]'],
} as const satisfies SmallText;

/** With C labels. */
export interface SmallClassifier extends SmallText {
  /** [D,C] */
  readonly weights: readonly (readonly number[])[];
}

/** Write model, tokenizer and config to a folder; the ONNX file under `file`. */
export async function writeClassifier(
  folder: string,
  model: SmallClassifier,
  file = 'model.onnx',
): Promise<void> {
  const [d, c] = [model.weights.length, model.weights[0]?.length ?? 0];
  const { rows, mask } = embedded(model);
  const mean = meanOver(rows, mask);
  const logits = matmul(mean, constant(tensor('f32', [d, c], Float32Array.from(model.weights.flat()))));
  await writeModel(folder, model, { logits }, file);
}

/** A model of embeddings: `last_hidden_state` [B,T,D]. */
export async function writeEmbedding(folder: string, model: SmallText): Promise<void> {
  await writeModel(folder, model, { last_hidden_state: embedded(model).rows });
}

/** A regression on two texts: the mean over all tokens of their embeddings, those of the second text doubled, times `weights` [D,1]. */
export async function writePair(folder: string, model: SmallClassifier): Promise<void> {
  const { rows, mask } = embedded(model);
  const segments = cast(input('token_type_ids', 'i64', ['B', 'T']), 'f32');
  const weighted = mul(rows, reshape(shift(segments, 1), ['B', 'T', 1]));
  const column = constant(tensor('f32', [model.weights.length, 1], Float32Array.from(model.weights.flat())));
  await writeModel(folder, model, { logits: matmul(meanOver(weighted, mask), column) });
}

/** Embeddings of the tokens, [B,T,D], and their mask [B,T]. */
function embedded({ words, embedding }: SmallText): { readonly rows: Node; readonly mask: Node } {
  const d = embedding[0]?.length ?? 0;
  const table = constant(tensor('f32', [words.length, d], Float32Array.from(embedding.flat())));
  const mask = cast(input('attention_mask', 'i64', ['B', 'T']), 'f32');
  const ids = input('input_ids', 'i64', ['B', 'T']);
  return { rows: mul(gatherRows(table, ids), reshape(mask, ['B', 'T', 1])), mask };
}

function meanOver(rows: Node, mask: Node): Node {
  return div(reduceSum(rows, [1]), reshape(reduceSum(mask, [1]), ['B', 1]));
}

async function writeModel(
  folder: string,
  { words, config, around }: SmallText,
  outputs: Readonly<Record<string, Node>>,
  file = 'model.onnx',
): Promise<void> {
  const path = join(folder, file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, emitOnnx({ name: 'small', outputs }));
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
