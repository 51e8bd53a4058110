/** @file The two trained tokenizers of the goldens: from stored texts, so that a new corpus does not make them stale. */
import { readFileSync } from 'node:fs';
import { trainByteBpe, trainWordLevel } from '../../src/models/tokenizer/index.ts';

export const stored = JSON.parse(
  readFileSync(new URL('tokenizers-trained.texts.json', import.meta.url), 'utf8'),
) as { readonly vocabulary: string[]; readonly tags: string[]; readonly texts: string[] };

export const trained = {
  'word-level': trainWordLevel(stored.vocabulary, { tags: stored.tags }),
  'byte-bpe': trainByteBpe(stored.texts, { vocabSize: 700 }),
};
