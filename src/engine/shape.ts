/** @file Shapes with symbolic sizes. A dim is a number or a name (`B`, `T`); a product of names is written `B*T`. */
import { CrosspatchError } from '../base/index.ts';

/** A size: known, or named and bound when the graph runs. */
export type Dim = number | string;
/** Sizes, outermost first. */
export type Shape = readonly Dim[];

/** `[B,T,64]`. */
export function shapeText(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

/** True when both shapes have the same rank and the same dims, names compared as names. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/** NumPy broadcasting of two shapes; a named size broadcasts only with itself or 1. */
export function broadcastShapes(a: Shape, b: Shape, where: string): Shape {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da === db || db === 1) out.push(da);
    else if (da === 1) out.push(db);
    else
      throw new CrosspatchError(`${where}: shapes ${shapeText(a)} and ${shapeText(b)} do not broadcast`, {
        id: 'graph-invalid',
      });
  }
  return out;
}

/** The axis as a non-negative index; throws when out of range. */
export function normalAxis(axis: number, rank: number, where: string): number {
  const a = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(a) || a < 0 || a >= rank)
    throw new CrosspatchError(`${where}: axis ${axis} is out of range for rank ${rank}`, {
      id: 'graph-invalid',
    });
  return a;
}

/** Named sizes and their values in one run. */
export type DimBindings = Map<string, number>;

/** Bind the names of `shape` to the concrete sizes of a fed tensor; throws on a mismatch. */
export function bindShape(
  shape: Shape,
  sizes: readonly number[],
  bindings: DimBindings,
  where: string,
): void {
  const fail = (): never => {
    throw new CrosspatchError(`${where}: wanted shape ${shapeText(shape)}, got ${shapeText(sizes)}`, {
      id: 'graph-invalid',
    });
  };
  if (shape.length !== sizes.length) fail();
  shape.forEach((dim, i) => {
    const size = sizes[i];
    if (typeof dim === 'number') {
      if (dim !== size) fail();
      return;
    }
    const bound = bindings.get(dim);
    if (bound === undefined) bindings.set(dim, size);
    else if (bound !== size) {
      throw new CrosspatchError(
        `${where}: ${dim} is ${bound} elsewhere, but shape ${shapeText(sizes)} makes it ${size}`,
        { id: 'graph-invalid' },
      );
    }
  });
}

/** The value of a dim under `bindings`; products multiply. */
export function resolveDim(dim: Dim, bindings: DimBindings): number {
  if (typeof dim === 'number') return dim;
  const whole = bindings.get(dim);
  if (whole !== undefined) return whole;
  return dim.split('*').reduce((product, factor) => {
    const n = /^\d+$/.test(factor) ? Number(factor) : bindings.get(factor);
    if (n === undefined)
      throw new CrosspatchError(`size ${dim}: ${factor} is bound by no input`, { id: 'graph-invalid' });
    return product * n;
  }, 1);
}

/** Product of dims as one dim: numbers multiply, names join to `B*T`. */
export function productDim(dims: Shape): Dim {
  let n = 1;
  const names: string[] = [];
  for (const d of dims) {
    if (typeof d === 'number') n *= d;
    else names.push(d);
  }
  if (names.length === 0) return n;
  if (n !== 1) names.push(String(n));
  return names.join('*');
}
