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
  /** Where the longest proper suffix that is also in the tree ends. */
  fail: TrieNode | undefined;
}

/**
 * Cuts pieces at added tokens: at each place the longest that fits, from the left. Linear in the text whatever the tokens are: an
 * automaton (A. Aho & M. Corasick 1975) of the reversed tokens reads the text from its end, and where it stands after a place says
 * the longest token that begins there.
 */
export class AddedTokenSplitter {
  readonly #root: TrieNode = { next: new Map(), token: undefined, fail: undefined };
  readonly #firsts = new Set<number>();
  /** Of each token's surface. */
  readonly #lengths = new Map<AddedToken, number>();

  /** `surface` gives the text under which a token is looked for. */
  constructor(tokens: readonly AddedToken[], surface: (token: AddedToken) => string) {
    for (const token of tokens) {
      const text = surface(token);
      if (text === '') continue;
      this.#firsts.add(text.charCodeAt(0));
      let node = this.#root;
      for (let i = text.length - 1; i >= 0; i--) {
        const code = text.charCodeAt(i);
        let child = node.next.get(code);
        if (!child) node.next.set(code, (child = { next: new Map(), token: undefined, fail: undefined }));
        node = child;
      }
      node.token = token;
      this.#lengths.set(token, text.length);
    }
    this.#link();
  }

  /** Breadth first, so that a node's suffixes are linked before it. */
  #link(): void {
    const queue: TrieNode[] = [this.#root];
    for (let at = 0; at < queue.length; at++) {
      const node = queue[at] as TrieNode;
      for (const [code, child] of node.next) {
        let suffix = node.fail;
        while (suffix !== undefined && !suffix.next.has(code)) suffix = suffix.fail;
        child.fail = suffix?.next.get(code) ?? this.#root;
        child.token ??= child.fail.token;
        queue.push(child);
      }
    }
  }

  /** For each place the longest token that begins there; undefined where no token can begin anywhere. */
  #tokensAt(text: string): (AddedToken | undefined)[] | undefined {
    let any = false;
    for (let i = 0; i < text.length && !any; i++) any = this.#firsts.has(text.charCodeAt(i));
    if (!any) return undefined;
    const found = new Array<AddedToken | undefined>(text.length);
    let node = this.#root;
    for (let i = text.length - 1; i >= 0; i--) {
      const code = text.charCodeAt(i);
      let next = node.next.get(code);
      while (next === undefined && node.fail !== undefined) {
        node = node.fail;
        next = node.next.get(code);
      }
      node = next ?? this.#root;
      found[i] = node.token;
    }
    return found;
  }

  /** Text between added tokens goes to `onText`, the tokens to `onToken`, in order. Empty text is left out. */
  split(
    piece: Piece,
    onText: (piece: Piece) => void,
    onToken: (token: AddedToken, piece: Piece) => void,
  ): void {
    const { text } = piece;
    const found = this.#tokensAt(text);
    let done = 0;
    for (let i = 0; found !== undefined && i < text.length; i++) {
      const token = found[i];
      if (token === undefined) continue;
      const end = i + (this.#lengths.get(token) as number);
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

const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

function touchesWord(text: string, start: number, end: number): boolean {
  return (
    WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_AFTER.test(text.slice(end, end + 2))
  );
}
