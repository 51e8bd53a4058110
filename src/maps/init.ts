/** @file Initial weights as PyTorch's `nn.Linear` draws them: U(−1/√in, 1/√in) for matrix and offset (the authors' initialisation). */
import type { Rng } from '../base/index.ts';

export function uniformInit(length: number, fanIn: number, rng: Rng): Float32Array {
  const bound = 1 / Math.sqrt(fanIn);
  return Float32Array.from({ length }, () => (2 * rng.next() - 1) * bound);
}
