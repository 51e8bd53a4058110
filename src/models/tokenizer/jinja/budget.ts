/** @file What a template may use: it comes with a model and is not trusted code. */
import { TemplateError } from './error.ts';

/** Limits of one rendering. */
export interface Limits {
  /** Expressions and statements carried out, items walked. */
  readonly steps: number;
  /** Characters and items of all values made. */
  readonly size: number;
  /** Calls and expressions within each other. */
  readonly depth: number;
  readonly milliseconds: number;
}

/** Far beyond what templates of models use (a conversation of 1,000 turns takes about 100,000 steps). */
export const DEFAULT_LIMITS: Limits = {
  steps: 5_000_000,
  size: 64_000_000,
  depth: 600,
  milliseconds: 1_500,
};

/** Steps between two looks at the clock. */
const CLOCK_EVERY = 2048;

/** Counts down while a template runs; every overrun is a {@link TemplateError}. */
export class Budget {
  readonly #limits: Limits;
  readonly #started = performance.now();
  #steps = 0;
  #size = 0;
  #depth = 0;

  constructor(limits: Limits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Charge work: one step, or one per item walked. */
  step(count = 1): void {
    const before = this.#steps;
    this.#steps += count;
    if (this.#steps > this.#limits.steps)
      throw new TemplateError(`the template takes more than ${this.#limits.steps} steps`);
    if (Math.floor(before / CLOCK_EVERY) !== Math.floor(this.#steps / CLOCK_EVERY)) this.#look();
  }

  /** Charge a value about to be made: call before making it. */
  make(size: number): void {
    this.#size += size;
    if (this.#size > this.#limits.size)
      throw new TemplateError(`the template makes more than ${this.#limits.size} characters and items`);
    this.step(1 + Math.ceil(size / 64));
  }

  /** Run something that may contain itself. */
  nested<T>(run: () => T): T {
    if (this.#depth >= this.#limits.depth)
      throw new TemplateError(
        `the template nests or calls itself more than ${this.#limits.depth} levels deep`,
      );
    this.#depth++;
    try {
      return run();
    } finally {
      this.#depth--;
    }
  }

  #look(): void {
    if (performance.now() - this.#started > this.#limits.milliseconds)
      throw new TemplateError(`the template takes more than ${this.#limits.milliseconds} ms`);
  }
}
