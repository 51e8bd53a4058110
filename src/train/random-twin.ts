/** @file The control of a trained adapter: a random one that moves every matrix as far. */
import type { Rng } from '../base/index.ts';
import { adapterSites, factorOf } from './adapters.ts';
import { openBase } from './base.ts';
import { parameter } from './parameters.ts';
import { loadAdapter, saveAdapter } from './peft.ts';

/** Write an adapter of `model` with random factors; each product B·A is as large (Frobenius norm) as that of `adapter`. */
export async function saveRandomTwin(
  options: { readonly model: string; readonly adapter: string; readonly out: string },
  rng: Rng,
): Promise<void> {
  const { config } = await openBase(options.model);
  const { lora, factors } = await loadAdapter(options.adapter, config);
  const twin = new Map<string, Float32Array>();
  for (const { name, out, in: inner } of adapterSites(config, lora.targets)) {
    const [a, b] = [factorOf(name, 'A'), factorOf(name, 'B')];
    const draw = rng.fork(name);
    const random = (n: number): Float32Array => Float32Array.from({ length: n }, () => draw.normal());
    const size = { rank: lora.rank, out, inner };
    const [newA, newB] = [random(lora.rank * inner), random(out * lora.rank)];
    const wanted = productNorm(parameter(factors, a), parameter(factors, b), size);
    const factor = wanted / productNorm(newA, newB, size);
    twin.set(a, newA).set(
      b,
      newB.map((x) => x * factor),
    );
  }
  await saveAdapter(options.out, config, { lora, factors: twin }, { base: options.model });
}

/** ‖B A‖, by tr(BᵀB · AAᵀ): the product is never formed. A [rank, inner], B [out, rank]. */
function productNorm(
  a: Float32Array,
  b: Float32Array,
  { rank, out, inner }: { readonly rank: number; readonly out: number; readonly inner: number },
): number {
  let square = 0;
  for (let r = 0; r < rank; r++)
    for (let s = 0; s < rank; s++) {
      let [ofA, ofB] = [0, 0];
      for (let i = 0; i < inner; i++) ofA += a[r * inner + i] * a[s * inner + i];
      for (let o = 0; o < out; o++) ofB += b[o * rank + r] * b[o * rank + s];
      square += ofA * ofB;
    }
  return Math.sqrt(Math.max(0, square));
}
