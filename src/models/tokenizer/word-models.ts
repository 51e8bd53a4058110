/** @file Models that look words up: WordLevel whole, WordPiece (BERT) by their longest pieces from the left. */
import { asId, asString, badTokenizer, type JsonObject, refuseUnknownKeys } from './parse.ts';
import { parseVocab, type TokenModel, unknownId, type Word } from './token-model.ts';

/** Characters of a word that is looked up; real files say 100. The time for a word grows with their square. */
const MAX_WORD = 1000;

export function parseWordLevel(obj: JsonObject, where: string): TokenModel {
  refuseUnknownKeys(obj, ['vocab', 'unk_token'], where);
  const vocab = parseVocab(obj.vocab, `${where}.vocab`);
  const unk = unknownId(obj, vocab, where);
  return { vocab, tokenize: (text, emit) => emit(whole(vocab.get(text) ?? unk, text), 0) };
}

/** A word is the longest token it begins with, then the longest that go on (`##` before each); unknown as a whole where one is missing. */
export function parseWordPiece(obj: JsonObject, where: string): TokenModel {
  refuseUnknownKeys(
    obj,
    ['vocab', 'unk_token', 'continuing_subword_prefix', 'max_input_chars_per_word'],
    where,
  );
  const vocab = parseVocab(obj.vocab, `${where}.vocab`);
  const unk = unknownId(obj, vocab, where);
  const prefix = asString(obj.continuing_subword_prefix ?? '##', `${where}.continuing_subword_prefix`);
  const most = asId(obj.max_input_chars_per_word ?? 100, `${where}.max_input_chars_per_word`);
  if (most > MAX_WORD) throw badTokenizer(`${where}.max_input_chars_per_word`, `at most ${MAX_WORD}`, most);
  let longest = 0;
  for (const token of vocab.keys()) longest = Math.max(longest, token.length);
  const tokenize = (text: string): Word => {
    const word = { ids: [] as number[], starts: [] as number[], ends: [] as number[] };
    if (text.length > most && Array.from(text).length > most) return whole(unk, text);
    for (let start = 0; start < text.length; ) {
      let end = Math.min(text.length, start + longest);
      const idTo = (stop: number): number | undefined =>
        vocab.get((start > 0 ? prefix : '') + text.slice(start, stop));
      while (end > start && idTo(end) === undefined) end--;
      const id = end > start ? idTo(end) : undefined;
      if (id === undefined) return whole(unk, text);
      word.ids.push(id);
      word.starts.push(start);
      word.ends.push(end);
      start = end;
    }
    return word;
  };
  return { vocab, tokenize: (text, emit) => emit(tokenize(text), 0) };
}

function whole(id: number, text: string): Word {
  return { ids: [id], starts: [0], ends: [text.length] };
}
