/** @file Which words of a completion are not in its reference, by longest common subsequence of words. */

/** A run of words of the completion; `changed` where the reference has no such word at this place. */
export interface DiffPart {
  readonly text: string;
  readonly changed: boolean;
}

/** Beyond this many words a side, only the common start and end are left unmarked. */
const LIMIT = 400;

/** Parts of `text`, in order and complete: joined they are `text` again. White space belongs to the word before it. */
export function wordDiff(text: string, reference: string): DiffPart[] {
  const [a, b] = [words(text), words(reference)];
  const keep = a.length * b.length <= LIMIT * LIMIT ? common(a, b) : ends(a, b);
  const parts: DiffPart[] = [];
  for (const [i, word] of a.entries()) {
    const changed = !keep[i];
    const last = parts.at(-1);
    if (last && last.changed === changed) parts[parts.length - 1] = { text: last.text + word, changed };
    else parts.push({ text: word, changed });
  }
  return parts;
}

function words(text: string): string[] {
  return text.match(/\s*\S+\s*|\s+/g) ?? [];
}

/** Which words of `a` are in a longest common subsequence with `b`. O(|a| |b|). */
function common(a: readonly string[], b: readonly string[]): boolean[] {
  const same = (i: number, j: number) => a[i]?.trim() === b[j]?.trim();
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      length[i * width + j] = same(i, j)
        ? 1 + length[(i + 1) * width + j + 1]!
        : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
  const keep = a.map(() => false);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (same(i, j)) {
      keep[i++] = true;
      j++;
    } else if (length[(i + 1) * width + j]! >= length[i * width + j + 1]!) i++;
    else j++;
  }
  return keep;
}

function ends(a: readonly string[], b: readonly string[]): boolean[] {
  const limit = Math.min(a.length, b.length);
  let head = 0;
  while (head < limit && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < limit - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return a.map((_, i) => i < head || i >= a.length - tail);
}
