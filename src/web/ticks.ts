/** @file Round numbers along an axis. Pure. */

/** Multiples of 1, 2 or 5 times a power of ten within `lo`…`hi`, about `count` of them, at least two where `hi` > `lo`. */
export function ticks(lo: number, hi: number, count: number): number[] {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const fitting = [10, 5, 2, 1].map((m) => m * power).find((step) => step <= raw * 1.001) ?? power;
  const first = Math.ceil(lo / fitting - 1e-9);
  const last = Math.floor(hi / fitting + 1e-9);
  const all = Array.from({ length: last - first + 1 }, (_, i) =>
    Number(((first + i) * fitting).toPrecision(12)),
  );
  return all.length <= 2 * count ? all : all.filter((_, i) => i % 2 === 0);
}
