/**
 * @file The text decoder of a checkpoint, whatever stands around it: names without `model.`, under `language_model.`, or beside the
 * towers of a multimodal model; and a head of its own where the config says it is tied. What was done is said in `notes`.
 */

import { open } from 'node:fs/promises';
import { InputError, isPlainObject, showText, showValue } from '../../base/index.ts';
import { readRange } from './safetensors-file.ts';
import type { TensorInfo } from './types.ts';

/** A checkpoint as a plain causal language model. */
interface TextPart {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** For people: what differs from the files. */
  readonly notes: readonly string[];
}

/** Multimodal models whose text part computes what the family of its `text_config` computes. */
const WRAPPERS = ['gemma3', 'llava', 'llava_next', 'mistral3'];

/** What may stand before a decoder's names, and what our names have instead. The longest that fits counts. */
const PREFIXES: readonly (readonly [theirs: string, ours: string])[] = [
  ['language_model.model.', 'model.'],
  ['language_model.lm_head.', 'lm_head.'],
  ['model.language_model.', 'model.'],
  ['language_model.', 'model.'],
  ['lm_head.', 'lm_head.'],
  ['model.', 'model.'],
  ['layers.', 'model.layers.'],
  ['embed_tokens.', 'model.embed_tokens.'],
  ['norm.', 'model.norm.'],
];

/** The other parts of multimodal checkpoints. */
const TOWERS =
  /^(?:model\.)?(vision_tower|vision_model|visual|vision_encoder|audio_tower|embed_vision|embed_audio|multi_modal_projector|mm_projector|image_newline)(?:\.|$)/;

const EMBED = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/** See the file's head. `where` names the checkpoint in errors. */
export async function textPart(
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, TensorInfo>,
  where: string,
): Promise<TextPart> {
  const notes: string[] = [];
  const text = textConfig(config, notes);
  const named = textTensors(tensors, notes, where);
  const kept = await keepHead(text, named, notes);
  return { config: kept, tensors: named, notes };
}

/** `text_config` where there is one, with what multimodal configs keep outside it. */
function textConfig(
  config: Readonly<Record<string, unknown>>,
  notes: string[],
): Readonly<Record<string, unknown>> {
  const { text_config: text, model_type: type } = config;
  if (!isPlainObject(text) || typeof type !== 'string' || !WRAPPERS.includes(type)) return config;
  const outer: Record<string, unknown> = {};
  for (const key of [
    'tie_word_embeddings',
    'torch_dtype',
    'dtype',
    'bos_token_id',
    'eos_token_id',
    'pad_token_id',
  ])
    if (config[key] !== undefined) outer[key] = config[key];
  notes.push(
    `the text part of a multimodal ${showText(type)} model, a ${showValue(text.model_type)} decoder`,
  );
  return { ...outer, ...text };
}

function textTensors(
  tensors: ReadonlyMap<string, TensorInfo>,
  notes: string[],
  where: string,
): ReadonlyMap<string, TensorInfo> {
  const named = new Map<string, TensorInfo>();
  const moved = new Set<string>();
  const towers = new Map<string, number>();
  for (const [name, info] of tensors) {
    const tower = TOWERS.exec(name)?.[1];
    if (tower !== undefined) {
      towers.set(tower, (towers.get(tower) ?? 0) + 1);
      continue;
    }
    const [theirs, ours] = PREFIXES.find(([prefix]) => name.startsWith(prefix)) ?? ['', ''];
    const mine = ours + name.slice(theirs.length);
    if (theirs !== ours) moved.add(theirs);
    if (named.has(mine))
      throw new InputError(
        `${where}: wanted each tensor of the text part once, got ${showText(mine)} under two prefixes (${showText(name)}); keep one of them`,
        { id: 'checkpoint-damaged' },
      );
    named.set(mine, mine === name ? info : { ...info, name: mine });
  }
  if (!named.has(EMBED)) refuseForeign(tensors, where);
  if (moved.size > 0)
    notes.push(`tensors are named without the usual prefix: ${[...moved].map((p) => `${p}*`).join(', ')}`);
  for (const [tower, count] of towers) notes.push(`left out: ${count} tensors of ${tower}`);
  return named;
}

/** Decoder tensors under a prefix we do not know. */
function refuseForeign(tensors: ReadonlyMap<string, TensorInfo>, where: string): void {
  for (const name of tensors.keys()) {
    const prefix = /^(.+?\.)(?:embed_tokens\.weight|layers\.\d+\..*)$/.exec(name)?.[1];
    if (prefix !== undefined && !PREFIXES.some(([theirs]) => prefix === theirs))
      throw new InputError(
        `${where}: wanted tensors named model.* (or without it, or language_model.*), got the prefix "${showText(prefix)}" as in ${showText(name)}; rename the tensors, or take the model's own export`,
        { id: 'checkpoint-damaged' },
      );
  }
}

/** A head that differs from the embedding is kept, whatever the config says (as transformers does). */
async function keepHead(
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, TensorInfo>,
  notes: string[],
): Promise<Readonly<Record<string, unknown>>> {
  const [head, embed] = [tensors.get(HEAD), tensors.get(EMBED)];
  if (config.tie_word_embeddings === false || head === undefined || embed === undefined) return config;
  if (await sameBytes(head, embed)) return config;
  if (config.tie_word_embeddings === true)
    notes.push('the config says that the head is tied, but the files have another one: it is used');
  return { ...config, tie_word_embeddings: false };
}

async function sameBytes(a: TensorInfo, b: TensorInfo): Promise<boolean> {
  if (a.dtype !== b.dtype || a.byteLength !== b.byteLength || a.shape.join() !== b.shape.join()) return false;
  const [one, other] = [await open(a.file, 'r'), await open(b.file, 'r')];
  try {
    const piece = 1 << 24;
    for (let at = 0; at < a.byteLength; at += piece) {
      const n = Math.min(piece, a.byteLength - at);
      const [x, y] = [
        await readRange(one, a.offset + at, n, a.file),
        await readRange(other, b.offset + at, n, b.file),
      ];
      if (Buffer.compare(x, y) !== 0) return false;
    }
    return true;
  } finally {
    await one.close();
    await other.close();
  }
}
