/** @file AdamW (arXiv 1711.05101) on the buffers the sessions read: decoupled decay, none on norms and biases. */
import { adamWKernel } from './adamw-kernel.ts';
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

/** Settings of {@link AdamW.update}. */
interface AdamWStep {
  /** Counts from 1. */
  readonly step: number;
  /** Learning rate of a tensor; 0 leaves it and its moments alone. */
  readonly rate: (name: string) => number;
  /** Gradients are multiplied by it as they are read (clipping). Defaults to 1. */
  readonly scale?: number;
}

/** First and second moments, one pair a trained tensor. */
export class AdamW {
  readonly first: Parameters = new Map();
  readonly second: Parameters = new Map();
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #decay: number;
  readonly #kernel = adamWKernel();

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

  /** One update. */
  update(parameters: Parameters, gradients: Parameters, { step, rate, scale = 1 }: AdamWStep): void {
    const [b1, b2] = this.#betas;
    for (const [name, gradient] of gradients) {
      const lr = rate(name);
      if (lr === 0) continue;
      this.#kernel(
        parameter(parameters, name),
        gradient,
        parameter(this.first, name),
        parameter(this.second, name),
        {
          ...{ b1, n1: 1 - b1, b2, n2: 1 - b2, eps: this.#eps, clip: scale },
          u: 1 / (1 - b2 ** step),
          rate: lr / (1 - b1 ** step),
          decay: isMatrix(name) ? 1 - lr * this.#decay : 1,
        },
      );
    }
  }
}

/** Matrices decay; gains and biases do not. */
export function isMatrix(name: string): boolean {
  return !/(norm\.weight|\.bias)$/.test(name);
}

/** Euclidean length of all gradients together, summed in float64. */
export function globalNorm(gradients: Parameters): number {
  let sum = 0;
  for (const g of gradients.values()) sum += sumOfSquares(g);
  return Math.sqrt(sum);
}

/** Four sums side by side, so that an addition need not wait for the one before. */
function sumOfSquares(g: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = g.length - (g.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += g[i] * g[i];
    b += g[i + 1] * g[i + 1];
    c += g[i + 2] * g[i + 2];
    d += g[i + 3] * g[i + 3];
  }
  for (let i = whole; i < g.length; i++) a += g[i] * g[i];
  return a + b + c + d;
}
