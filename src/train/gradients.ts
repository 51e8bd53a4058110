/** @file Where gradients are written: straight into a parameter's buffer, or aside and then added. */
import { type Parameters, parameter } from './parameters.ts';

/** A buffer to write a gradient into; `settle` when it is written. */
export interface GradientTarget {
  readonly write: Float32Array;
  readonly settle: () => void;
}

/** One buffer a trained parameter. */
export class Gradients {
  readonly byName: Parameters = new Map();
  readonly #scratches = new Map<string, Float32Array>();

  /** For those of `parameters` that `trains` names. */
  constructor(parameters: Parameters, trains: (name: string) => boolean) {
    for (const [name, values] of parameters)
      if (trains(name)) this.byName.set(name, new Float32Array(values.length));
  }

  /**
   * Where the gradient of `name` goes; undefined where it is not trained. With `accumulate` it is written into the scratch buffer of its
   * role and added when settled.
   */
  target(name: string, accumulate: boolean, role: string): GradientTarget | undefined {
    const own = this.byName.get(name);
    return own === undefined ? undefined : this.#into(own, accumulate, role);
  }

  /** That of a parameter that is known to be trained. */
  trained(name: string, accumulate: boolean, role: string): GradientTarget {
    return this.#into(parameter(this.byName, name), accumulate, role);
  }

  #into(own: Float32Array, accumulate: boolean, role: string): GradientTarget {
    if (!accumulate) return { write: own, settle: () => {} };
    const write = this.#scratch(role, own.length);
    return { write, settle: () => addTo(own, write) };
  }

  #scratch(role: string, length: number): Float32Array {
    const known = this.#scratches.get(role);
    if (known?.length === length) return known;
    const made = new Float32Array(length);
    this.#scratches.set(role, made);
    return made;
  }

  /** Give the scratch buffers back. */
  clear(): void {
    this.#scratches.clear();
  }
}

function addTo(sum: Float32Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + part[i];
}
