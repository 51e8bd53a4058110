/** @file Index arithmetic of the plain kernels: a view is a shape with strides; stride 0 repeats, swapped strides transpose. */

/** Row-major strides of `shape`, in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/** Strides that read a row-major tensor of shape `from` as if it were broadcast to `to`. */
export function broadcastStrides(from: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(from);
  const lead = to.length - from.length;
  return to.map((_, i) => (i < lead || from[i - lead] === 1 ? 0 : own[i - lead]));
}

/** Where each element of a view lies, in row-major order of `shape`: base + Σ index · stride. */
export function offsets(shape: readonly number[], strides: readonly number[], base = 0): Int32Array {
  let at = Int32Array.of(base);
  shape.forEach((n, axis) => {
    const stride = strides[axis];
    const next = new Int32Array(at.length * n);
    for (let i = 0; i < at.length; i++) {
      for (let j = 0; j < n; j++) next[i * n + j] = at[i] + j * stride;
    }
    at = next;
  });
  return at;
}
