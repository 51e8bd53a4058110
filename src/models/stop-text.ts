/** @file Cuts streamed text at the first stop string, holding back what may still become one. */

/** Feed pieces; get the text that is certain not to belong to a stop string. */
export class StopText {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((s) => s.length > 0);
  }

  /** True once a stop string was seen; later pieces give nothing. */
  get stopped(): boolean {
    return this.#stopped;
  }

  push(piece: string): string {
    if (this.#stopped) return '';
    const text = this.#held + piece;
    const cut = Math.min(...this.#stops.map((s) => text.indexOf(s)).filter((i) => i >= 0));
    if (Number.isFinite(cut)) {
      this.#stopped = true;
      this.#held = '';
      return text.slice(0, cut);
    }
    const keep = Math.max(0, ...this.#stops.map((s) => overlap(text, s)));
    this.#held = text.slice(text.length - keep);
    return text.slice(0, text.length - keep);
  }

  /** What was held back, at the end of the row. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }
}

/** Length of the longest proper prefix of `stop` that `text` ends with. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--)
    if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
