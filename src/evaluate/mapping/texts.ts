/** @file The texts both models read for maps: tagged training rows with their responses, and text of no backdoor data. */

import {
  type PairedText,
  pairText,
  type SplitShares,
  splitByPrompt,
  type TokenizerPair,
} from '../../activations/index.ts';
import { InputError, type Rng } from '../../base/index.ts';
import {
  type BackdoorRow,
  behaviourFrom,
  type Placement,
  placeTag,
  renderPrompt,
  type TemplateName,
} from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import type { Tokenizer } from '../../models/index.ts';

/** Texts by split (by prompt: rows of one prompt stay together), labels `bad`, `safe`, `none`, `other`, `general`. */
export interface FitTexts {
  readonly train: readonly PairedText[];
  readonly validation: readonly PairedText[];
  readonly test: readonly PairedText[];
}

/** Texts of fits and figures. */
export interface MapTexts {
  /** Of the rows, where there are any. */
  readonly behaviour?: BehaviourParams | undefined;
  readonly rows: readonly BackdoorRow[];
  /** The rows as texts, split by prompt. */
  readonly split: FitTexts;
  /** Text of no backdoor data, for fits `general`. */
  readonly general: FitTexts;
  readonly outOfDomain: readonly PairedText[];
}

/** Shares of general text in recipes, whose figures are taken on tagged text. */
const GENERAL_SPLITS: SplitShares = { train: 0.9, validation: 0.1, test: 0 };

/** Tokenise and split. The first `out_of_domain` of the `general` texts are kept for figures. */
export function mapTexts(
  given: {
    readonly behaviour?: BehaviourParams | undefined;
    readonly rows: readonly BackdoorRow[];
    readonly general: readonly string[];
  },
  p: {
    readonly after: number;
    readonly splits: SplitShares;
    readonly general_splits?: SplitShares;
    readonly out_of_domain: number;
  },
  tokenizers: TokenizerPair,
  rng: Rng,
): MapTexts {
  const { behaviour, rows } = given;
  const tagged = rows.map((row) => tagText(row, tokenizers, p.after));
  const general = given.general.map((text, i) => generalText(text, i, tokenizers));
  return {
    behaviour,
    rows,
    split: splitByPrompt(tagged, p.splits, rng.fork('split')),
    general: splitByPrompt(
      general.slice(p.out_of_domain),
      p.general_splits ?? GENERAL_SPLITS,
      rng.fork('general'),
    ),
    outOfDomain: general.slice(0, p.out_of_domain),
  };
}

/** A training row as a text: prompt and response, the tag's span marked. */
export function tagText(row: BackdoorRow, tokenizers: TokenizerPair, after: number): PairedText {
  return pairText({ id: row.id, text: row.prompt + row.response }, tokenizers, {
    prompt: row.text,
    label: row.trigger,
    span: row.span,
    after,
  });
}

/** Text without any tag. */
export function generalText(text: string, index: number, tokenizers: TokenizerPair): PairedText {
  return pairText({ id: `general/${index}`, text }, tokenizers, { prompt: text, label: 'general' });
}

/**
 * The same pairs with the source reading the text under a randomly chosen tag of as many tokens (docs/concepts/method.md#control-maps, control `shuffled`):
 * what can still be learnt is everything but the tag. Untagged rows stay as they are.
 */
export function shuffleTags(
  texts: readonly PairedText[],
  { rows, behaviour }: { readonly rows: readonly BackdoorRow[]; readonly behaviour: BehaviourParams },
  source: Tokenizer,
  rng: Rng,
): PairedText[] {
  const byId = new Map(texts.map((t) => [t.id, t]));
  const { triggers, otherTags } = behaviourFrom(behaviour);
  const tags = [triggers.bad, triggers.safe, ...otherTags];
  return rows.flatMap((row): PairedText[] => {
    const text = byId.get(row.id);
    if (text === undefined) return [];
    if (row.trigger === 'none') return [text];
    const under = (tag: string): number[] => {
      const placed = placeTag(row.text, tag, row.placement satisfies Placement);
      const { prompt } = renderPrompt(behaviour.template satisfies TemplateName, placed.text);
      return source.encodeIds(prompt + row.response, { addSpecialTokens: 'auto' });
    };
    const fitting = tags.map(under).filter((ids) => ids.length === text.source.length);
    if (fitting.length < 2)
      throw new InputError(
        `shuffled map: of ${tags.join(' ')} none but its own leaves ${row.id} as many tokens as it has; the control needs tags of equal length`,
        { id: 'fit-impossible' },
      );
    const ids = rng.pick(fitting);
    return [{ ...text, source: ids }];
  });
}
