/** @file What each op does to one activation h [D], in place, with v [D] its vector (normalised and scaled where the op has these). */
import type { Intervention } from '../contracts/index.ts';

/** Names of the ops. */
type Op = Intervention['op'];

type Edit<O extends Op> = Extract<Intervention, { op: O }>;

const ops: { [O in Op]: (h: Float32Array, v: Float32Array, edit: Edit<O>) => void } = {
  // h + v
  add: (h, v) => update(h, (x, i) => x + v[i]),
  // v
  set: (h, v) => h.set(v),
  // scale · h
  scale: (h, _v, { scale }) => update(h, (x) => scale * x),
  // 0
  suppress: (h) => h.fill(0),
  // h − alpha · (h·u) u, u = v/‖v‖
  project: (h, v, { alpha }) => along(h, v, (c) => c - alpha * c),
  // h + (clip(h·u) − h·u) u
  clamp: (h, v, { min, max }) => along(h, v, (c) => Math.min(max ?? Infinity, Math.max(min ?? -Infinity, c))),
};

/** Edit h in place. `raw` is the vector as given; empty for ops that take none. */
export function applyOp(edit: Intervention, h: Float32Array, raw: Float32Array): void {
  const v = 'scale' in edit && 'vector' in edit ? prepared(raw, h, edit) : raw;
  // Each entry takes its own edit; the key and the edit come from the same value.
  (ops[edit.op] as (h: Float32Array, v: Float32Array, edit: Intervention) => void)(h, v, edit);
}

/** `normalize`, then `scale`. */
function prepared(
  raw: Float32Array,
  h: Float32Array,
  { normalize, scale }: { readonly normalize: 'none' | 'unit' | 'activation'; readonly scale: number },
): Float32Array {
  const size = { none: 1, unit: 1 / norm(raw), activation: norm(h) / norm(raw) }[normalize];
  const factor = scale * size;
  return factor === 1 ? raw : Float32Array.from(raw, (x) => x * factor);
}

/** Change the component of h along v/‖v‖. */
function along(h: Float32Array, v: Float32Array, change: (component: number) => number): void {
  const length = norm(v);
  let c = 0;
  for (let i = 0; i < h.length; i++) c += (h[i] * v[i]) / length;
  const step = (change(c) - c) / length;
  update(h, (x, i) => x + step * v[i]);
}

function update(h: Float32Array, f: (x: number, i: number) => number): void {
  for (let i = 0; i < h.length; i++) h[i] = f(h[i], i);
}

/** Euclidean norm, summed in float64. */
export function norm(v: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < v.length; i++) squares += v[i] ** 2;
  return Math.sqrt(squares);
}
