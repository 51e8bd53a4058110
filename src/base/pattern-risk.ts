/**
 * @file Whether a pattern from a file can run away. A backtracking matcher takes time 2ⁿ where a repeated group can match the same
 * text in several ways, and nᵏ where k unbounded repeats may each give back what they took. Both are told from the source alone;
 * what is refused is more than what is dangerous, and no tokenizer in use is among it.
 */

/** How much is allowed. */
interface RiskLimits {
  /** Unbounded repeats in a row that something after them can make give back. Defaults to 1. */
  readonly unbounded?: number;
}

const MAX_LENGTH = 4096;
const MAX_COUNT = 1000;
const MAX_DEPTH = 32;

/** What a part of a pattern can do. */
interface Shape {
  /** Matches text of one length in one way. */
  readonly fixed: boolean;
  /** Repeats in it that something after can make give back. */
  readonly giving: number;
  /** Unbounded repeats at its end, which give back if something must follow. */
  readonly open: number;
  /** It can match nothing, so it makes nobody give back. */
  readonly optional: boolean;
  /** Atoms after counts are written out. */
  readonly size: number;
}

/** Why the pattern (in JavaScript's syntax) is refused, or undefined. */
export function patternRisk(source: string, { unbounded = 1 }: RiskLimits = {}): string | undefined {
  if (source.length > MAX_LENGTH) return `a pattern of ${source.length} characters (at most ${MAX_LENGTH})`;
  try {
    const reader = new Reader(source);
    const { giving } = reader.alternatives(0);
    return giving > unbounded
      ? `${giving} unbounded repeats in a row, which could take time of that power of the text's length`
      : undefined;
  } catch (error) {
    if (error instanceof Risk) return error.message;
    throw error;
  }
}

class Risk extends Error {}

class Reader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** `a|b|…` up to a closing parenthesis or the end. */
  alternatives(depth: number): Shape {
    if (depth > MAX_DEPTH) throw new Risk(`groups nested deeper than ${MAX_DEPTH}`);
    const all = [this.#sequence(depth)];
    while (this.#source[this.#at] === '|') {
      this.#at++;
      all.push(this.#sequence(depth));
    }
    if (all.length === 1) return all[0] as Shape;
    return {
      fixed: false,
      giving: Math.max(...all.map((s) => s.giving)),
      open: Math.max(...all.map((s) => s.open)),
      optional: all.some((s) => s.optional),
      size: limited(all.reduce((n, s) => n + s.size, 0)),
    };
  }

  #sequence(depth: number): Shape {
    let whole: Shape = { fixed: true, giving: 0, open: 0, optional: true, size: 0 };
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at] as string)) {
      const part = this.#repeated(depth);
      whole = {
        fixed: whole.fixed && part.fixed,
        giving: whole.giving + part.giving + (part.optional ? 0 : whole.open),
        // an optional part leaves what was open before it open
        open: part.open + (part.optional ? whole.open : 0),
        optional: whole.optional && part.optional,
        size: limited(whole.size + part.size),
      };
    }
    return whole;
  }

  #repeated(depth: number): Shape {
    const atom = this.#atom(depth);
    const quantifier = /^(?:[*+?]|\{(\d*)(,?)(\d*)\})[?+]?/.exec(this.#source.slice(this.#at, this.#at + 24));
    if (quantifier === null) return atom;
    const [text, low, comma, high] = quantifier as unknown as [string, string?, string?, string?];
    if (text.startsWith('{') && low === '' && high === '') return atom; // a brace as itself
    this.#at += text.length;
    const symbol = text[0] as string;
    const least = symbol === '*' || symbol === '?' ? 0 : symbol === '+' ? 1 : Number(low || 0);
    const most =
      symbol === '?' ? 1 : symbol !== '{' || (comma === ',' && high === '') ? Infinity : Number(high || low);
    if (least > MAX_COUNT || (most > MAX_COUNT && most !== Infinity))
      throw new Risk(`a repeat of more than ${MAX_COUNT}`);
    if (most > 1 && !atom.fixed)
      throw new Risk(
        'a repeat of a group that holds a repeat or a choice, which could take time without end',
      );
    return {
      fixed: atom.fixed && least === most,
      giving: atom.giving,
      open: atom.open + (most > 16 ? 1 : 0),
      optional: least === 0 || atom.optional,
      size: limited(atom.size * (most === Infinity ? Math.max(1, least) : Math.max(1, most))),
    };
  }

  /** One character, class, escape or group; the reader stands after it. */
  #atom(depth: number): Shape {
    const one: Shape = { fixed: true, giving: 0, open: 0, optional: false, size: 1 };
    const c = this.#source[this.#at++];
    if (c === '\\') {
      const property = /^[pPux]\{[^}]*\}/.exec(this.#source.slice(this.#at, this.#at + 64));
      const back = /^(?:[1-9]|k<)/.test(this.#source.slice(this.#at, this.#at + 2));
      if (back) throw new Risk('a reference back to a group');
      this.#at += property?.[0].length ?? 1;
      return one;
    }
    if (c === '[') {
      this.#skipClass();
      return one;
    }
    if (c !== '(') return one;
    const head = /^\?(?:[:=!]|<[=!]|<[A-Za-z_]\w*>|[a-z]*:)/.exec(
      this.#source.slice(this.#at, this.#at + 64),
    );
    this.#at += head?.[0].length ?? 0;
    const inner = this.alternatives(depth + 1);
    this.#at++; // the closing parenthesis
    const looks = head !== null && /^\?<?[=!]/.test(head[0]);
    // A look-around takes nothing, but it can fail, and then what stands before it gives back.
    return looks ? { ...inner, fixed: true, open: 0, optional: false } : inner;
  }

  #skipClass(): void {
    if (this.#source[this.#at] === '^') this.#at++;
    for (; this.#at < this.#source.length && this.#source[this.#at] !== ']'; this.#at++)
      if (this.#source[this.#at] === '\\') this.#at++;
    this.#at++;
  }
}

function limited(size: number): number {
  if (size > 20_000) throw new Risk('counted repeats that multiply to more than 20,000 parts');
  return size;
}
