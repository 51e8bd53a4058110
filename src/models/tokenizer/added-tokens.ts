/** @file Added tokens (special ones and the model author's own) are found in the text before anything else happens to it. */
import { asArray, asBoolean, asId, asObject, asString, refuseUnknownKeys } from './parse.ts';
import { type Piece, slicePiece } from './piece.ts';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Left out of `decode` with `skipSpecialTokens`. */
  readonly special: boolean;
  /** Looked for in the normalised text rather than in the input. */
  readonly normalized: boolean;
  /** Takes the white space on its left, on its right. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Only where no word character touches it. */
  readonly singleWord: boolean;
}

/** The `added_tokens` field of tokenizer.json. */
export function parseAddedTokens(value: unknown, where: string): AddedToken[] {
  if (value === undefined || value === null) return [];
  return asArray(value, where).map((item, i) => {
    const at = `${where}[${i}]`;
    const obj = asObject(item, at);
    refuseUnknownKeys(obj, ['id', 'content', 'single_word', 'lstrip', 'rstrip', 'normalized', 'special'], at);
    const special = asBoolean(obj.special, `${at}.special`, false);
    return {
      id: asId(obj.id, `${at}.id`),
      content: asString(obj.content, `${at}.content`),
      special,
      normalized: asBoolean(obj.normalized, `${at}.normalized`, !special),
      lstrip: asBoolean(obj.lstrip, `${at}.lstrip`, false),
      rstrip: asBoolean(obj.rstrip, `${at}.rstrip`, false),
      singleWord: asBoolean(obj.single_word, `${at}.single_word`, false),
    };
  });
}

interface TrieNode {
  readonly next: Map<number, TrieNode>;
  token: AddedToken | undefined;
}

/** Cuts pieces at added tokens: at each place the longest that fits, from the left. */
export class AddedTokenSplitter {
  readonly #root: TrieNode = { next: new Map(), token: undefined };

  /** `surface` gives the text under which a token is looked for. */
  constructor(tokens: readonly AddedToken[], surface: (token: AddedToken) => string) {
    for (const token of tokens) {
      const text = surface(token);
      if (text === '') continue;
      let node = this.#root;
      for (let i = 0; i < text.length; i++) {
        const code = text.charCodeAt(i);
        let child = node.next.get(code);
        if (!child) node.next.set(code, (child = { next: new Map(), token: undefined }));
        node = child;
      }
      node.token = token;
    }
  }

  /** Text between added tokens goes to `onText`, the tokens to `onToken`, in order. Empty text is left out. */
  split(
    piece: Piece,
    onText: (piece: Piece) => void,
    onToken: (token: AddedToken, piece: Piece) => void,
  ): void {
    const { text } = piece;
    const first = this.#root.next;
    let done = 0;
    for (let i = 0; first.size > 0 && i < text.length; i++) {
      const node = first.get(text.charCodeAt(i));
      if (!node) continue;
      const found = longestFrom(node, text, i + 1);
      if (!found) continue;
      const { token, end } = found;
      if (token.singleWord && touchesWord(text, i, end)) {
        i = end - 1;
        continue;
      }
      let from = i;
      let to = end;
      if (token.lstrip) while (from > done && /\p{White_Space}/u.test(text[from - 1] as string)) from--;
      if (token.rstrip) while (to < text.length && /\p{White_Space}/u.test(text[to] as string)) to++;
      if (from > done) onText(slicePiece(piece, done, from));
      onToken(token, slicePiece(piece, from, to));
      done = to;
      i = to - 1;
    }
    if (done < text.length) onText(slicePiece(piece, done, text.length));
  }
}

function longestFrom(
  start: TrieNode,
  text: string,
  at: number,
): { token: AddedToken; end: number } | undefined {
  let best = start.token && { token: start.token, end: at };
  let node: TrieNode | undefined = start;
  for (let i = at; i < text.length; i++) {
    node = node.next.get(text.charCodeAt(i));
    if (!node) break;
    if (node.token) best = { token: node.token, end: i + 1 };
  }
  return best;
}

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

function touchesWord(text: string, start: number, end: number): boolean {
  return (
    WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_AFTER.test(text.slice(end, end + 2))
  );
}
