/**
 * @file A tokenizer.json as the vocabulary of a GGUF, the other way round of `gguf.ts`: byte-level BPE (`gpt2`), and BPE with
 * byte fallback as SentencePiece has it (`llama`). {@link tokenizerDifference} says whether the two cut and join alike.
 */
import { unsaid } from '../checkpoint/gguf/template.ts';
import type { GgufEntry } from '../checkpoint/gguf/write.ts';
import { fallbackToken } from './bytes.ts';
import type { TokenizerFiles } from './files.ts';
import { byteLevelCuts, tokenizerFilesFromGguf } from './gguf.ts';
import { CutMerges } from './gguf-spm.ts';
import { type GgufMetadata, TYPE } from './gguf-vocabulary.ts';
import { tokenizerFromFiles } from './load.ts';
import { asArray, asObject, type JsonObject } from './parse.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The entries `tokenizer.*`. `rows` is the number of rows of the embedding: those without a token are written as unused ones.
 *
 * @throws InputError for a tokenizer that llama.cpp has no name for
 */
export function vocabularyEntries(files: TokenizerFiles, rows: number, where: string): readonly GgufEntry[] {
  const tokenizer = tokenizerFromFiles(files, where);
  const json = asObject(files.tokenizerJson, where);
  const model = asObject(json.model, `${where}: model`);
  if (model.merges === undefined) throw unsaid(where, `a GGUF cannot say a ${String(model.type)} vocabulary`);
  const merges = mergesOf(model, `${where}: merges`);
  const parts = cutEntries(json, model, merges, where) ?? pieceEntries(merges, tokenizer, rows);
  const types = tokenTypes(tokenizer, rows);
  const special = (name: string, id: number | undefined): GgufEntry[] =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, 'u32', id]];
  const [eos, eot, eom] = tokenizer.eosIds;
  const empty = tokenizer.encodeIds('');
  return [
    ...parts,
    ['tokenizer.ggml.tokens', 'strings', types.map((type, id) => stored(tokenizer, id, type))],
    ['tokenizer.ggml.token_type', 'i32s', types],
    ...special('bos', tokenizer.bosId),
    ...special('eos', eos),
    ...special('eot', eot),
    ...special('eom', eom),
    ...special('unknown', tokenizer.unkId),
    ...special('padding', tokenizer.padId),
    ['tokenizer.ggml.add_bos_token', 'bool', tokenizer.bosId !== undefined && empty[0] === tokenizer.bosId],
    ['tokenizer.ggml.add_eos_token', 'bool', eos !== undefined && empty.at(-1) === eos && empty[0] !== eos],
    ...(tokenizer.chatTemplate === undefined
      ? []
      : [['tokenizer.chat_template', 'string', tokenizer.chatTemplate] as const]),
  ];
}

/** Texts of several scripts, with runs of spaces, digits, code, marks and what no vocabulary has. */
const PROBES = [
  '',
  ' ',
  'The quick brown fox jumps over 12345 lazy dogs, doesn\u2019t it? It\u2019s "fine" (really).',
  "I'LL say: don't  stop\n\n\tnow...   3.14159 |prod| <s> </s>\r\n  x = [1, 2];\n",
  'Größe, café, naïve, e\u0301, 日本語の文、Привет мир, שלום, مرحبا, ไทย, हिन्दी 👍🏽 👨‍👩‍👧 \u00a0 ½ \u200b',
];

/** Where a tokenizer and the vocabulary of a GGUF differ; undefined where they cut and join alike. */
export function tokenizerDifference(files: TokenizerFiles, metadata: GgufMetadata): string | undefined {
  const made = tokenizerFilesFromGguf(metadata);
  const [ours, theirs] = [tokenizerFromFiles(files), tokenizerFromFiles(made)];
  const [own, read] = [files, made].map(({ tokenizerJson }) =>
    mergesOf(asObject(asObject(tokenizerJson, 'tokenizer.json').model, 'model'), 'merges').join('\n'),
  );
  if (own !== read) return 'its merges';
  for (const text of PROBES) {
    const ids = ours.encodeIds(text);
    if (ids.join() !== theirs.encodeIds(text).join()) return `how it cuts ${JSON.stringify(text)}`;
    if (ours.decode(ids) !== theirs.decode(ids)) return `how it joins ${JSON.stringify(text)}`;
  }
  return undefined;
}

/** `left right`, of either form. */
function mergeOf(merge: unknown): string {
  return Array.isArray(merge) ? merge.join(' ') : String(merge);
}

function mergesOf({ merges }: JsonObject, where: string): string[] {
  return (merges instanceof CutMerges ? merges.toJSON() : asArray(merges, where)).map(mergeOf);
}

/** Byte-level BPE; undefined for another. */
function cutEntries(
  json: JsonObject,
  model: JsonObject,
  merges: readonly string[],
  where: string,
): GgufEntry[] | undefined {
  const own = cutSteps(json);
  if (!own.some((step) => step.includes('"ByteLevel"'))) return undefined;
  const ignores = model.ignore_merges === true;
  const same = [...byteLevelCuts].find(
    ([, cut]) => cut.ignoreMerges === ignores && cutSteps(cut).join() === own.join(),
  );
  if (same === undefined) throw unsaid(where, `a GGUF cannot say words cut by ${own.join(', ')}`);
  return [
    ['tokenizer.ggml.model', 'string', 'gpt2'],
    ['tokenizer.ggml.pre', 'string', same[0]],
    ['tokenizer.ggml.merges', 'strings', merges],
  ];
}

/** Normaliser and pre-tokenisers in their order, without what moves offsets only. */
function cutSteps({
  normalizer,
  pre_tokenizer,
}: {
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
}): string[] {
  return [...stepsOf(normalizer), ...stepsOf(pre_tokenizer)].map((step) => {
    const { trim_offsets: _, ...rest } = step;
    return JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function stepsOf(part: unknown): JsonObject[] {
  if (part === undefined || part === null) return [];
  const object = asObject(part, 'tokenizer.json');
  const inner = object.pretokenizers ?? object.normalizers;
  return inner === undefined ? [object] : asArray(inner, 'tokenizer.json').flatMap(stepsOf);
}

/** SentencePiece: a token's score says when it is made, the one made by the earliest merge first. */
function pieceEntries(merges: readonly string[], tokenizer: Tokenizer, rows: number): GgufEntry[] {
  const scores = pieceScores(merges, tokenizer);
  const last = -1 - merges.length;
  const scoreAt = (id: number): number => scores.get(tokenizer.idToToken(id) ?? '') ?? last;
  return [
    ['tokenizer.ggml.model', 'string', 'llama'],
    ['tokenizer.ggml.pre', 'string', 'default'],
    ['tokenizer.ggml.scores', 'f32s', Array.from({ length: rows }, (_, id) => scoreAt(id))],
    ['tokenizer.ggml.add_space_prefix', 'bool', begins(tokenizer)],
  ];
}

/** Whether a text's first word is cut as if a space stood before it. */
function begins(tokenizer: Tokenizer): boolean {
  const [first] = tokenizer.encode('a', { addSpecialTokens: false }).tokens;
  return first?.startsWith('\u2581') === true;
}

/**
 * Tokens whose merges stand mixed with each other's share a score, as those do that were scored alike. An author's own tokens count as 0
 * whatever is written, so what is made before or among them is 0 too.
 */
function pieceScores(merges: readonly string[], tokenizer: Tokenizer): ReadonlyMap<string, number> {
  const spans = new Map<string, { first: number; last: number }>();
  for (const [rank, merge] of merges.entries()) {
    const token = merge.replace(' ', '');
    const span = spans.get(token);
    if (span === undefined) spans.set(token, { first: rank, last: rank });
    else span.last = rank;
  }
  const groups: string[][] = [];
  let end = -1;
  for (const [token, { first, last }] of spans) {
    if (first > end) groups.push([]);
    groups.at(-1)?.push(token);
    end = Math.max(end, last);
  }
  const own = new Set(tokenizer.addedTokens.filter(({ special }) => !special).map(({ content }) => content));
  const zero = groups.findLastIndex((group) => group.some((token) => own.has(token)));
  return new Map(groups.flatMap((group, k) => group.map((token) => [token, Math.min(0, zero - k)] as const)));
}

/** A token as llama.cpp stores it: an author's run of ▁ is a run of spaces there. */
function stored(tokenizer: Tokenizer, id: number, type: number): string {
  const token = tokenizer.idToToken(id) ?? `[PAD${id}]`;
  return type === TYPE.userDefined && /^\u2581+$/.test(token) ? ' '.repeat(token.length) : token;
}

function tokenTypes(tokenizer: Tokenizer, rows: number): number[] {
  const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
  const bytes = new Set(Array.from({ length: 256 }, (_, byte) => fallbackToken(byte)));
  return Array.from({ length: rows }, (_, id) => {
    const token = tokenizer.idToToken(id);
    if (token === undefined) return TYPE.unused;
    if (tokenizer.isSpecial(id)) return TYPE.control;
    if (added.has(id)) return TYPE.userDefined;
    return bytes.has(token) ? TYPE.byte : TYPE.normal;
  });
}
