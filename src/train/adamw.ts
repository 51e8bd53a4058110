/** @file AdamW (arXiv 1711.05101) on the buffers the sessions read: decoupled decay, none on norms and biases. */
import type { Parameters } from './parameters.ts';
import { parameter } from './parameters.ts';

/** Constants of the optimizer. */
export interface AdamWOptions {
  /** Defaults to [0.9, 0.95]. */
  readonly betas?: readonly [number, number];
  /** Defaults to 1e-8. */
  readonly eps?: number;
  /** Applied to matrices only. Defaults to 0.01. */
  readonly weightDecay?: number;
}

/** First and second moments, one pair a trained tensor. */
export class AdamW {
  readonly first: Parameters = new Map();
  readonly second: Parameters = new Map();
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #decay: number;

  constructor(
    trained: Parameters,
    { betas = [0.9, 0.95], eps = 1e-8, weightDecay = 0.01 }: AdamWOptions = {},
  ) {
    for (const [name, values] of trained) {
      this.first.set(name, new Float32Array(values.length));
      this.second.set(name, new Float32Array(values.length));
    }
    this.#betas = betas;
    this.#eps = eps;
    this.#decay = weightDecay;
  }

  /**
   * One update. `step` counts from 1; `rate(name)` is the learning rate of a tensor (0 leaves it and its moments alone);
   * gradients are multiplied by `gradientScale` (clipping) as they are read.
   */
  update(
    parameters: Parameters,
    gradients: Parameters,
    step: number,
    rate: (name: string) => number,
    gradientScale: number,
  ): void {
    const [b1, b2] = this.#betas;
    const c1 = 1 - b1 ** step;
    const c2 = 1 - b2 ** step;
    for (const [name, gradient] of gradients) {
      const lr = rate(name);
      if (lr === 0) continue;
      const decay = isMatrix(name) ? 1 - lr * this.#decay : 1;
      updateTensor(
        parameter(parameters, name),
        gradient,
        parameter(this.first, name),
        parameter(this.second, name),
        b1,
        b2,
        lr / c1,
        1 / c2,
        this.#eps,
        decay,
        gradientScale,
      );
    }
  }
}

/** Matrices decay; gains and biases do not. */
export function isMatrix(name: string): boolean {
  return !/(norm\.weight|\.bias)$/.test(name);
}

function updateTensor(
  w: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  b1: number,
  b2: number,
  rate: number,
  unbias2: number,
  eps: number,
  decay: number,
  gradientScale: number,
): void {
  for (let i = 0; i < w.length; i++) {
    const gi = (g[i] as number) * gradientScale;
    const mi = b1 * (m[i] as number) + (1 - b1) * gi;
    const vi = b2 * (v[i] as number) + (1 - b2) * gi * gi;
    m[i] = mi;
    v[i] = vi;
    w[i] = (w[i] as number) * decay - (rate * mi) / (Math.sqrt(vi * unbias2) + eps);
  }
}

/** Euclidean length of all gradients together. */
export function globalNorm(gradients: Parameters): number {
  let sum = 0;
  for (const g of gradients.values()) {
    let part = 0;
    for (let i = 0; i < g.length; i++) part += (g[i] as number) * (g[i] as number);
    sum += part;
  }
  return Math.sqrt(sum);
}
