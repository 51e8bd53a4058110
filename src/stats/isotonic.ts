/** @file Isotonic regression: the best rising curve through points (R. Barlow et al., 1972; pool adjacent violators). */
import { mean } from './describe.ts';

/** The fitted curve: between its points a straight line, beyond them flat. */
export type Curve = (x: number) => number;

/** The rising curve of the least squared error through (x, y). Equal x are one point, the mean of their y. Throws RangeError without points. */
export function isotonic(x: ArrayLike<number>, y: ArrayLike<number>): Curve {
  if (x.length !== y.length || x.length === 0)
    throw new RangeError(`isotonic: wanted as many y as x and at least one, got ${x.length} and ${y.length}`);
  const at = new Map<number, number[]>();
  for (let i = 0; i < x.length; i++) at.set(x[i], [...(at.get(x[i]) ?? []), y[i]]);
  const xs = [...at.keys()].sort((a, b) => a - b);
  const ys = pooled(
    xs.map((value) => {
      const group = at.get(value) as number[];
      return { level: mean(group), weight: group.length };
    }),
  );
  return (value) => {
    const next = xs.findIndex((point) => point >= value);
    if (next < 0) return ys[ys.length - 1];
    if (next === 0 || xs[next] === value) return ys[next];
    const share = (value - xs[next - 1]) / (xs[next] - xs[next - 1]);
    return ys[next - 1] + share * (ys[next] - ys[next - 1]);
  };
}

/** Fitted level of each point: neighbours that fall are pooled into their weighted mean until none falls. */
function pooled(points: readonly { readonly level: number; readonly weight: number }[]): number[] {
  const blocks: { level: number; weight: number; points: number }[] = [];
  for (const { level, weight } of points) {
    let last = { level, weight, points: 1 };
    for (let before = blocks.at(-1); before && before.level >= last.level; before = blocks.at(-1)) {
      blocks.pop();
      const together = before.weight + last.weight;
      last = {
        level: (before.level * before.weight + last.level * last.weight) / together,
        weight: together,
        points: before.points + last.points,
      };
    }
    blocks.push(last);
  }
  return blocks.flatMap(({ level, points: size }) => Array<number>(size).fill(level));
}
