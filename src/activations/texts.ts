/** @file Texts that two models read: how their tokens pair, where the tag lies, which split they belong to (docs/concepts/method.md#paired-activations). */
import { hashJson, InputError, type Rng } from '../base/index.ts';
import {
  alignTokens,
  alignTurns,
  type SharedText,
  spanOfChars,
  type TokenAlignment,
  type Tokenizer,
} from '../models/index.ts';

/** One text as both models read it. */
export interface PairedText {
  /** Unique in a list, e.g. `train/12/bad`. */
  readonly id: string;
  /** What is split by: texts that say the same under other tags share it. */
  readonly prompt: string;
  /** Free label, e.g. `safe`, `bad`, `general`. */
  readonly label: string;
  readonly source: readonly number[];
  readonly target: readonly number[];
  /** For different tokenizers; absent where token i pairs with token i. */
  readonly alignment?: Pick<TokenAlignment, 'sourceOf' | 'flags'>;
  /** Positions of `target` that show the tag (tag and the tokens after it): left out of `no_tag_rows` fits. */
  readonly span?: { readonly start: number; readonly end: number };
}

/** The tokenizers of the two models. */
export interface TokenizerPair {
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Options of {@link pairText}. */
interface PairTextOptions {
  /** Defaults to `id`. */
  readonly prompt?: string;
  /** Defaults to ''. */
  readonly label?: string;
  /** Characters of the tag in the text. */
  readonly span?: { readonly start: number; readonly end: number } | null;
  /** Tokens after the tag that belong to the span. Defaults to 1. */
  readonly after?: number;
  /** Add BOS and the like. Defaults to `auto`. */
  readonly addSpecialTokens?: boolean | 'auto';
  /** Where the source reads the same in another chat template. */
  readonly turns?: PairedTurns | undefined;
}

/** What the source reads in place of the text, and the texts that both hold. */
export interface PairedTurns {
  readonly sourceText: string;
  readonly shared: readonly SharedText[];
}

/** Tokenize a text for both models; token i pairs with token i where the ids are the same, else by {@link alignTokens}. */
export function pairText(
  { id, text }: { readonly id: string; readonly text: string },
  { source, target }: TokenizerPair,
  options: PairTextOptions = {},
): PairedText {
  const { prompt = id, label = '', span, after = 1, addSpecialTokens = 'auto', turns } = options;
  const sourceText = turns?.sourceText ?? text;
  const b = target.encode(text, { addSpecialTokens });
  const a = source === target && sourceText === text ? b : source.encode(sourceText, { addSpecialTokens });
  const same = a.ids.length === b.ids.length && a.ids.every((x, i) => x === b.ids[i]);
  const tokens = span ? spanOfChars(b, span.start, span.end) : undefined;
  return {
    id,
    prompt,
    label,
    source: a.ids,
    target: b.ids,
    alignment: same
      ? undefined
      : turns === undefined || sourceText === text
        ? alignTokens(a, b)
        : alignTurns(a, b, turns.shared),
    span:
      tokens === undefined
        ? undefined
        : { start: tokens.start, end: Math.min(tokens.end + after, b.ids.length) },
  };
}

/**
 * Pairs for the `shuffled` control (docs/concepts/method.md#control-maps): each group holds one text under several tags; the source reads a member drawn at
 * random, the target its own. What remains learnable is everything but the tag. Tags must be of equal length in tokens of the source.
 */
export function shuffledTexts(groups: readonly (readonly PairedText[])[], rng: Rng): PairedText[] {
  return groups.flatMap((group) =>
    group.map((text) => {
      const donor = rng.pick(group);
      if (donor.source.length !== text.source.length)
        throw new InputError(
          `shuffled map: ${donor.id} has ${donor.source.length} tokens, ${text.id} has ${text.source.length}; the control needs tags of equal length`,
          { id: 'fit-impossible' },
        );
      return { ...text, id: `${text.id}<${donor.id}`, source: donor.source };
    }),
  );
}

/** Shares of prompts. */
export interface SplitShares {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** Split by prompt: all texts of one prompt fall on the same side. Shares are met to the nearest prompt. */
export function splitByPrompt<T extends { readonly prompt: string }>(
  texts: readonly T[],
  shares: SplitShares,
  rng: Rng,
): Record<keyof SplitShares, T[]> {
  const prompts = rng.shuffle([...new Set(texts.map((t) => t.prompt))]);
  const first = Math.round(shares.train * prompts.length);
  const second = Math.round((shares.train + shares.validation) * prompts.length);
  const split = new Map(
    prompts.map((p, i) => [p, i < first ? 'train' : i < second ? 'validation' : 'test'] as const),
  );
  const out: Record<keyof SplitShares, T[]> = { train: [], validation: [], test: [] };
  for (const text of texts) out[split.get(text.prompt) as keyof SplitShares].push(text);
  return out;
}

/** Content address of a list of texts: tokens, pairing and spans. */
export function textsHash(texts: readonly PairedText[]): string {
  return hashJson(
    texts.map((t) => [
      t.id,
      t.source,
      t.target,
      t.alignment ? [...t.alignment.sourceOf] : null,
      t.span ? [t.span.start, t.span.end] : null,
    ]),
  );
}

/** Content address of a vocabulary: two tokenizers with one hash give tokens the same meaning. */
export function tokenizerHash(tokenizer: Tokenizer): string {
  return hashJson(Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id) ?? null));
}
