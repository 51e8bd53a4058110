/** @file A tokenizer.json put together: added tokens → normaliser → added tokens → pre-tokeniser → model → template; and back. */
import { type AddedToken, AddedTokenSplitter, parseAddedTokens } from './added-tokens.ts';
import { type Decoder, parseDecoder } from './decoder.ts';
import { parseModel } from './model.ts';
import { parseNormalizer } from './normalizer.ts';
import { asObject, badTokenizer, refuseUnknownKeys } from './parse.ts';
import { inputRange, type Piece } from './piece.ts';
import { markIds, parseTemplate, type Template } from './post-processor.ts';
import { parsePreTokenizer } from './pretokenizer.ts';
import type { ExtraToken } from './special-tokens.ts';
import type { TokenModel } from './token-model.ts';

export interface Pipeline {
  readonly addedTokens: readonly AddedToken[];
  readonly template: Template;
  readonly decoder: Decoder;
  readonly idOf: ReadonlyMap<string, number>;
  readonly tokenOf: ReadonlyMap<number, string>;
  /** Ids of `text`, template left out. */
  ids(text: string): number[];
  /** Ids with the UTF-16 range of `text` each stands for. */
  idsWithOffsets(text: string): { ids: number[]; offsets: [number, number][] };
}

const KEYS = [
  'version',
  'truncation',
  'padding',
  'added_tokens',
  'normalizer',
  'pre_tokenizer',
  'post_processor',
  'decoder',
  'model',
];

/** Build from the parsed tokenizer.json; `where` names the file in errors. `truncation` and `padding` are left to the caller, as transformers does. */
export function parsePipeline(json: unknown, where: string, extra: readonly ExtraToken[] = []): Pipeline {
  const obj = asObject(json, where);
  refuseUnknownKeys(obj, KEYS, where);
  if (obj.model === undefined)
    throw badTokenizer(`${where}: model`, 'the tokenizer model', undefined, 'is this a tokenizer.json?');
  const listed = parseAddedTokens(obj.added_tokens, `${where}: added_tokens`);
  const normalize = parseNormalizer(obj.normalizer, `${where}: normalizer`);
  const preTokenize = parsePreTokenizer(obj.pre_tokenizer, `${where}: pre_tokenizer`);
  const template = parseTemplate(obj.post_processor, `${where}: post_processor`);
  const decoder = parseDecoder(obj.decoder, `${where}: decoder`);
  const model = parseModel(obj.model, `${where}: model`);
  const addedTokens = withExtraTokens(listed, extra, model.vocab);
  const { idOf, tokenOf } = tokenTables(model, addedTokens, where);
  for (const id of [...template.before, ...template.after, ...markIds(template.pair ?? [])])
    if (!tokenOf.has(id)) throw badTokenizer(`${where}: post_processor`, 'ids of known tokens', id);

  const raw = new AddedTokenSplitter(
    addedTokens.filter((t) => !t.normalized),
    (t) => t.content,
  );
  const normalized = new AddedTokenSplitter(
    addedTokens.filter((t) => t.normalized),
    (t) => normalize({ text: t.content, base: 0, map: undefined }, false).text,
  );

  const run = (
    text: string,
    track: boolean,
    emit: (id: number, piece: Piece, start: number, end: number) => void,
  ): void => {
    const onToken = (token: AddedToken, piece: Piece): void => emit(token.id, piece, 0, piece.text.length);
    const onWords = (piece: Piece): void => {
      for (const part of preTokenize([piece], track))
        model.tokenize(part.text, (word, at) => {
          for (let i = 0; i < word.ids.length; i++)
            emit(word.ids[i] as number, part, at + (word.starts[i] as number), at + (word.ends[i] as number));
        });
    };
    const onText = (piece: Piece): void => normalized.split(normalize(piece, track), onWords, onToken);
    raw.split({ text, base: 0, map: undefined }, onText, onToken);
  };

  return {
    addedTokens,
    template,
    decoder,
    idOf,
    tokenOf,
    ids(text) {
      const ids: number[] = [];
      run(wellFormed(text), false, (id) => ids.push(id));
      return ids;
    },
    idsWithOffsets(text) {
      const ids: number[] = [];
      const offsets: [number, number][] = [];
      run(wellFormed(text), true, (id, piece, start, end) => {
        ids.push(id);
        offsets.push(wholeCharacters(text, inputRange(piece, start, end)));
      });
      return { ids, offsets };
    },
  };
}

/** A new token takes its id of the vocabulary, or the next after all there are (as `add_tokens` of the Rust library). */
function withExtraTokens(
  listed: readonly AddedToken[],
  extra: readonly ExtraToken[],
  vocab: ReadonlyMap<string, number>,
): readonly AddedToken[] {
  const byContent = new Map(listed.map((t) => [t.content, t]));
  let next = listed.reduce((n, t) => Math.max(n, t.id + 1), vocab.size);
  for (const { replaces, ...token } of extra) {
    const known = byContent.get(token.content);
    if (token.content === '' || (known !== undefined && !replaces)) continue;
    const id = known?.id ?? vocab.get(token.content) ?? next++;
    byContent.set(token.content, { ...token, id });
  }
  return [...byContent.values()];
}

function tokenTables(
  model: TokenModel,
  added: readonly AddedToken[],
  where: string,
): { idOf: ReadonlyMap<string, number>; tokenOf: Map<number, string> } {
  // Most vocabularies hold their added tokens: hundreds of thousands of entries are then not copied.
  const longer = added.every(({ content }) => model.vocab.has(content)) ? undefined : new Map(model.vocab);
  const idOf = longer ?? model.vocab;
  const tokenOf = new Map<number, string>();
  for (const [token, id] of model.vocab) {
    if (tokenOf.has(id))
      throw badTokenizer(`${where}: model.vocab`, 'a different id for every token', `${id} twice`);
    tokenOf.set(id, token);
  }
  for (const { content, id } of added) {
    const at = `${where}: added_tokens ${JSON.stringify(content)}`;
    if (idOf.has(content) && idOf.get(content) !== id)
      throw badTokenizer(at, `its id in the vocabulary, ${idOf.get(content)}`, id);
    if (tokenOf.has(id) && tokenOf.get(id) !== content)
      throw badTokenizer(at, 'an id of its own', `${id} of ${tokenOf.get(id)}`);
    longer?.set(content, id);
    tokenOf.set(id, content);
  }
  return { idOf, tokenOf };
}

/** Half a surrogate pair is no character: it becomes U+FFFD (one unit for one unit, so offsets hold). */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

/** Widen a range so that it cuts no surrogate pair. */
function wholeCharacters(text: string, [start, end]: [number, number]): [number, number] {
  const cuts = (i: number): boolean =>
    i > 0 &&
    i < text.length &&
    (text.charCodeAt(i) & 0xfc00) === 0xdc00 &&
    (text.charCodeAt(i - 1) & 0xfc00) === 0xd800;
  if (start === end) return [start, end];
  return [cuts(start) ? start - 1 : start, cuts(end) ? end + 1 : end];
}
