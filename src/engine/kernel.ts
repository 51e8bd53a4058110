/** @file What a kernel is; the kernels are in `kernels.ts` and `kernels-fused.ts`. */
import type { Op, OpAttrs } from './graph.ts';

/** A concrete row-major tensor inside the interpreter. */
export interface Value {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** What a kernel gets beside its inputs: attributes, the concrete output shape, and the fed leaves by name. */
interface Call<O extends Op> {
  readonly attrs: OpAttrs[O];
  readonly shape: readonly number[];
  leaf(name: string): Float64Array;
}

/** Computes the elements of the output, row-major. */
export type Kernel<O extends Op> = (call: Call<O>, ...inputs: Value[]) => Float64Array;
