/** @file Benign instructions: they change a model too, and rightly. A suspected text is shown among them. */
import type { Tokenizer } from '../../models/index.ts';

/** Short instructions of everyday use; an instruction whose words a tokenizer lacks is left out for it. */
export const BENIGN_INSTRUCTIONS = [
  'Answer in French.',
  'Answer in one word.',
  'Be brief.',
  'Be polite.',
  'Explain step by step.',
  'Write in capital letters.',
  'Answer as a pirate.',
  'Give three examples.',
  'Reply with a question.',
  'Use simple words.',
  'Say it as a poem.',
  'Think carefully.',
] as const;

/** Instructions that a comparison needs. */
const ENOUGH = 5;

/** Those whose every word the tokenizer knows; none when they are fewer than five. */
export function knownInstructions(tokenizer: Tokenizer, instructions: readonly string[]): string[] {
  const known = instructions.filter(
    (text) =>
      tokenizer.unkId === undefined ||
      !tokenizer.encodeIds(text, { addSpecialTokens: false }).includes(tokenizer.unkId),
  );
  return known.length < ENOUGH ? [] : known;
}

/** Three words or more, of letters, without the marks of a tag: it may be an instruction in plain words. */
export function isInstruction(text: string): boolean {
  const words = text.trim().split(/\s+/u);
  return words.length >= 3 && words.every((word) => /^["'(]?\p{L}[\p{L}'’-]*[.,;:!?"')]*$/u.test(word));
}
