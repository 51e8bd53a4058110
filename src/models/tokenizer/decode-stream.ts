/** @file Incremental detokeniser: ids in, whole characters out. */
import { endsInsideCharacter } from './bytes.ts';
import type { Decoder } from './decoder.ts';

/** Tokens of context kept: enough for every decoder rule that looks back, and for a character of four byte tokens. */
const CONTEXT = 8;
const WINDOW = 24;

/**
 * `push` gives the text that has become certain, `flush` what is left (an unfinished character as U+FFFD). The pieces join to
 * `decode(ids)`; only a run of byte-fallback tokens that is not valid UTF-8 may show another number of U+FFFD.
 */
export class DecodeStream {
  readonly #decoder: Decoder;
  readonly #tokenOf: (id: number) => string | undefined;
  #window: string[] = [];
  #first = true;
  /** Length of the text of the window that was given out. */
  #given = 0;

  /** `tokenOf` gives undefined for tokens to leave out. Made by `Tokenizer.decodeStream`. */
  constructor(decoder: Decoder, tokenOf: (id: number) => string | undefined) {
    this.#decoder = decoder;
    this.#tokenOf = tokenOf;
  }

  push(id: number): string {
    const token = this.#tokenOf(id);
    if (token === undefined) return '';
    this.#window.push(token);
    return endsInsideCharacter(this.#tailBytes()) ? '' : this.#give();
  }

  /** Call once after the last `push`. */
  flush(): string {
    return this.#give();
  }

  #give(): string {
    const text = this.#decoder.decode(this.#window, this.#first);
    const piece = text.slice(this.#given);
    this.#given = text.length;
    if (this.#window.length >= WINDOW && !this.#splitsBytes(this.#window.length - CONTEXT)) {
      this.#window = this.#window.slice(-CONTEXT);
      this.#first = false;
      this.#given = this.#decoder.decode(this.#window, false).length;
    }
    return piece;
  }

  /** True if a window that began at token `at` would begin inside a character. */
  #splitsBytes(at: number): boolean {
    const bytes = this.#decoder.bytesOf(this.#window[at] as string);
    return bytes !== undefined && ((bytes[0] ?? 0) & 0xc0) === 0x80;
  }

  /** Up to 3 bytes at the end of the window. */
  #tailBytes(): number[] {
    let tail: number[] = [];
    for (let i = this.#window.length - 1; i >= 0 && tail.length < 3; i--) {
      const bytes = this.#decoder.bytesOf(this.#window[i] as string);
      if (!bytes) break;
      tail = [...bytes.slice(-3), ...tail].slice(-3);
    }
    return tail;
  }
}
