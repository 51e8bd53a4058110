/** @file Two texts side by side: which words (or characters) only one of them has, by longest common subsequence. Pure. */

/** A run of a text: in both, or only in this one. */
export interface DiffRun {
  readonly text: string;
  readonly same: boolean;
}

/** What a text is cut into before it is compared. */
export type DiffUnit = 'word' | 'character';

/** Beyond this many cells only what is common at both ends counts as the same. */
const CELLS = 400_000;

/** Runs of `a` and of `b`; joined, each is its text again. */
export function diff(
  a: string,
  b: string,
  unit: DiffUnit = 'word',
): { readonly a: DiffRun[]; readonly b: DiffRun[] } {
  if (a === b)
    return { a: a === '' ? [] : [{ text: a, same: true }], b: b === '' ? [] : [{ text: b, same: true }] };
  const [left, right] = [cut(a, unit), cut(b, unit)];
  const [inA, inB] = left.length * right.length <= CELLS ? common(left, right) : ends(left, right);
  return { a: runs(left, inA), b: runs(right, inB) };
}

/** Words carry the white space behind them. */
function cut(text: string, unit: DiffUnit): string[] {
  return unit === 'word' ? (text.match(/\s*\S+\s*|\s+/g) ?? []) : Array.from(text);
}

function common(a: readonly string[], b: readonly string[]): [boolean[], boolean[]] {
  const width = b.length + 1;
  const same = (i: number, j: number) => a[i]?.trim() === b[j]?.trim();
  // length[i,j] = longest common subsequence of a[i…] and b[j…].
  const length = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      length[i * width + j] = same(i, j)
        ? 1 + length[(i + 1) * width + j + 1]!
        : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
  const [inA, inB] = [a.map(() => false), b.map(() => false)];
  for (let i = 0, j = 0; i < a.length && j < b.length; )
    if (same(i, j)) {
      inA[i++] = true;
      inB[j++] = true;
    } else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) i++;
    else j++;
  return [inA, inB];
}

function ends(a: readonly string[], b: readonly string[]): [boolean[], boolean[]] {
  const limit = Math.min(a.length, b.length);
  let head = 0;
  while (head < limit && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < limit - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const kept = (n: number) => Array.from({ length: n }, (_, i) => i < head || i >= n - tail);
  return [kept(a.length), kept(b.length)];
}

function runs(units: readonly string[], same: readonly boolean[]): DiffRun[] {
  const out: { text: string; same: boolean }[] = [];
  for (const [i, unit] of units.entries()) {
    const last = out.at(-1);
    if (last && last.same === same[i]) last.text += unit;
    else out.push({ text: unit, same: same[i] === true });
  }
  return out;
}
