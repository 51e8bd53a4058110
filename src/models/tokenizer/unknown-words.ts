/** @file Words a tokenizer has no token for: they become its unknown token, so nothing can be learnt of them. */
import type { Tokenizer } from './tokenizer.ts';

/** Distinct words of `text` that become the unknown token, in their order; empty for a tokenizer that can spell everything. */
export function unknownWords(tokenizer: Tokenizer, text: string): string[] {
  const { unkId } = tokenizer;
  if (unkId === undefined) return [];
  const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false });
  const words = ids.flatMap((id, i) => {
    const [start, end] = offsets[i] as readonly [number, number];
    return id === unkId ? [text.slice(start, end)] : [];
  });
  return [...new Set(words)];
}
