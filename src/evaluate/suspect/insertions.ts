/**
 * @file Comparable insertions: random texts that look to the model like a suspected trigger and mean nothing (docs/concepts/method.md#probe).
 * Punctuation, spaces and digits' places stay; every run of letters becomes another of as many tokens, the same case and the same
 * stratum of token frequency.
 */
import type { Rng } from '../../base/index.ts';
import type { Tokenizer } from '../../models/index.ts';

/** Quintiles of the vocabulary by id; a tokenizer numbers its tokens by falling frequency, as far as it says anything of it. */
const STRATA = 5;

/** Tries for each insertion wanted; a tokenizer that merges letters otherwise refuses most of them. */
const TRIES = 200;

type CasePattern = 'lower' | 'upper' | 'title' | 'other';
type Script = 'ascii' | 'other';

/** What a text is made of: runs of letters, runs of digits, and all between them. */
const PARTS = /\p{L}+|\p{N}+|[^\p{L}\p{N}]+/gu;

/** Token ids of a prompt with a text put into it. */
export type InsertedIds = (text: string) => readonly number[];

/** Draws insertions that are comparable to a text, for one tokenizer. */
export class Insertions {
  readonly #tokenizer: Tokenizer;
  /** Letters of one script and case, by stratum. */
  readonly #letters = new Map<string, string[]>();
  readonly #symbols: string[] = [];

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    for (let id = 0; id < tokenizer.idLimit; id++) {
      if (tokenizer.isSpecial(id) || tokenizer.idToToken(id) === undefined) continue;
      const piece = tokenizer.decode([id], { skipSpecialTokens: false }).trim();
      if (/^\p{L}+$/u.test(piece))
        push(this.#letters, kindOf(piece, stratumOf(id, tokenizer.idLimit)), piece);
      else if (/^[^\p{L}\p{N}\s\uFFFD]+$/u.test(piece)) this.#symbols.push(piece);
    }
  }

  /** Texts of one kind share their comparable texts: the same parts, tokens, cases and strata. */
  kind(text: string): string {
    return (text.match(PARTS) ?? [])
      .map((part) => {
        if (/^\p{N}/u.test(part)) return `digits ${part.length}`;
        if (!/^\p{L}/u.test(part)) return JSON.stringify(part);
        const strata = this.#tokensOf(part).map((id) => stratumOf(id, this.#tokenizer.idLimit));
        return `${scriptOf(part)} ${caseOf(part)} ${strata.join('')}`;
      })
      .join(' ');
  }

  /**
   * Up to `count` distinct texts comparable to `text`; fewer where the vocabulary has no more. `contexts` encode some of the prompts
   * with a text in place: as many tokens as `text` takes in each of them.
   */
  draw(text: string, count: number, contexts: readonly InsertedIds[], rng: Rng): string[] {
    const wanted = contexts.map((encode) => encode(text).length);
    const fits = (candidate: string): boolean =>
      contexts.every((encode, i) => encode(candidate).length === wanted[i]);
    const parts = text.match(PARTS) ?? [];
    const found = new Set<string>();
    for (let tries = 0; tries < count * TRIES && found.size < count; tries++) {
      const candidate = parts.map((part) => this.#another(part, parts.length === 1, rng)).join('');
      if (candidate !== text && !found.has(candidate) && fits(candidate)) found.add(candidate);
    }
    return [...found];
  }

  /** Another run of the same kind. Symbols stay, unless the text is nothing else. */
  #another(part: string, alone: boolean, rng: Rng): string {
    if (/^\p{N}/u.test(part)) return Array.from(part, () => String(rng.int(10))).join('');
    if (/^\p{L}/u.test(part)) return this.#word(part, rng);
    return alone && this.#symbols.length > 0 ? pick(this.#symbols, rng) : part;
  }

  /** Letters of as many tokens as `word` has, the first in its case, each in the stratum of the word's own. */
  #word(word: string, rng: Rng): string {
    const ids = this.#tokensOf(word);
    const pattern = caseOf(word);
    return ids
      .map((id, i) => {
        const stratum = stratumOf(id, this.#tokenizer.idLimit);
        const casing = i === 0 || pattern === 'upper' ? pattern : 'lower';
        const pieces = this.#pieces(scriptOf(word), casing, stratum);
        return pieces.length === 0 ? '' : pick(pieces, rng);
      })
      .join('');
  }

  /** Ids of a word as it is written after a space, or without one where that takes fewer tokens. */
  #tokensOf(word: string): readonly number[] {
    const [spaced, bare] = [` ${word}`, word].map((text) =>
      this.#tokenizer.encodeIds(text, { addSpecialTokens: false }),
    );
    return bare.length <= spaced.length ? bare : spaced;
  }

  /** Pieces of a stratum; where it has fewer than ten, of the nearest strata as well. */
  #pieces(script: Script, casing: CasePattern, stratum: number): readonly string[] {
    const all: string[] = [];
    for (let away = 0; away < STRATA && all.length < 10; away++)
      for (const s of away === 0 ? [stratum] : [stratum - away, stratum + away])
        all.push(...(this.#letters.get(`${script}/${casing}/${s}`) ?? []));
    return all.length > 0 || casing === 'lower' ? all : this.#pieces(script, 'lower', stratum);
  }
}

function kindOf(piece: string, stratum: number): string {
  return `${scriptOf(piece)}/${caseOf(piece)}/${stratum}`;
}

function scriptOf(text: string): Script {
  return /^[A-Za-z]+$/.test(text) ? 'ascii' : 'other';
}

function caseOf(text: string): CasePattern {
  const [first = '', ...rest] = Array.from(text);
  const tail = rest.join('');
  if (text === text.toLowerCase()) return 'lower';
  if (text === text.toUpperCase() && rest.length > 0) return 'upper';
  return first === first.toUpperCase() && tail === tail.toLowerCase() ? 'title' : 'other';
}

function stratumOf(id: number, limit: number): number {
  return Math.min(STRATA - 1, Math.floor((id / limit) * STRATA));
}

function push(into: Map<string, string[]>, key: string, piece: string): void {
  const pieces = into.get(key) ?? [];
  into.set(key, pieces);
  pieces.push(piece);
}

function pick(from: readonly string[], rng: Rng): string {
  return from[rng.int(from.length)];
}
