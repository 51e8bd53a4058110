/** @file Word overlap of two texts: ROUGE-L, token F1, exact match. Words are runs of letters and digits, lower-cased. */

/**
 * ROUGE-L F₁: longest common subsequence of words over the length of each side (C.-Y. Lin, "ROUGE", 2004), no stemming; equals
 * the rouge-score package on ASCII text, and unlike it sees words of other scripts. 0-1; an empty side gives 0.
 */
export function rougeL(candidate: string, reference: string): number {
  const a = words(candidate);
  const b = words(reference);
  return harmonic(longestCommon(a, b), a.length, b.length);
}

/** F₁ of the shared words, counted with multiplicity (the SQuAD measure without its dropping of articles). 0-1; two empty texts give 1. */
export function tokenF1(candidate: string, reference: string): number {
  const a = words(candidate);
  const b = words(reference);
  if (a.length === 0 && b.length === 0) return 1;
  const left = new Map<string, number>();
  for (const w of b) left.set(w, (left.get(w) ?? 0) + 1);
  let shared = 0;
  for (const w of a) {
    const count = left.get(w) ?? 0;
    if (count > 0) shared++;
    left.set(w, count - 1);
  }
  return harmonic(shared, a.length, b.length);
}

/** Equal but for white space at the ends. */
export function exactMatch(candidate: string, reference: string): boolean {
  return candidate.trim() === reference.trim();
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
}

/** 2PR/(P + R) for P = shared/a, R = shared/b. */
function harmonic(shared: number, a: number, b: number): number {
  return a + b === 0 ? 0 : (2 * shared) / (a + b);
}

function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Uint32Array(b.length + 1);
  for (const word of a) {
    const row = new Uint32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++)
      row[j] = word === b[j - 1] ? above[j - 1] + 1 : Math.max(above[j], row[j - 1]);
    above = row;
  }
  return above[b.length];
}
