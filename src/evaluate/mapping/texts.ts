/** @file The texts both models read for maps: tagged training rows with their responses, and text of no backdoor data. */

import {
  type PairedText,
  type PairedTurns,
  pairText,
  type SplitShares,
  splitByPrompt,
  type TokenizerPair,
} from '../../activations/index.ts';
import type { Rng } from '../../base/index.ts';
import {
  type BackdoorRow,
  behaviourFrom,
  type CharSpan,
  renderPrompt,
  shiftSpan,
} from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import { alignTurns, type SharedText, type TokenAlignment, type Tokenizer } from '../../models/index.ts';
import { chatOf, specialTokensOf } from '../subject/chat.ts';

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
  const tagged = rows.map((row) =>
    tagText(row, tokenizers, { template: 'raw', ...behaviour, after: p.after }),
  );
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

/** How rows are read. */
export interface RowReading extends Pick<BehaviourParams, 'template' | 'chat'> {
  /** Tokens after the tag that belong to the span. */
  readonly after: number;
}

/** A training row as a text: prompt and response, the tag's span marked; in the template `chat` each model reads it in its own. */
export function tagText(row: BackdoorRow, tokenizers: TokenizerPair, p: RowReading): PairedText {
  const { text, span, turns } = inTemplates(row, tokenizers, p, row.response);
  return pairText({ id: row.id, text }, tokenizers, {
    prompt: row.text,
    label: row.trigger,
    span,
    after: p.after,
    addSpecialTokens: specialTokensOf(p),
    turns,
  });
}

/** A prompt as both models read it, with an answer after it; `turns` where their chat templates make two texts of it. */
export function inTemplates(
  row: Pick<BackdoorRow, 'prompt' | 'span'>,
  { source, target }: { readonly source: Tokenizer; readonly target: Tokenizer },
  p: Pick<BehaviourParams, 'template' | 'chat'>,
  answer = '',
): { readonly text: string; readonly span: BackdoorRow['span']; readonly turns?: PairedTurns | undefined } {
  const [own, given] = [chatOf(target, p), chatOf(source, p)];
  if (own === undefined || given === undefined) return { text: row.prompt + answer, span: row.span };
  const [t, s] = [renderPrompt('chat', row.prompt, own), renderPrompt('chat', row.prompt, given)];
  return {
    text: t.prompt + answer,
    span: row.span && shiftSpan(row.span, t.offset),
    turns: {
      sourceText: s.prompt + answer,
      shared: [
        { source: s.offset, target: t.offset, length: row.prompt.length },
        { source: s.prompt.length, target: t.prompt.length, length: answer.length },
      ],
    },
  };
}

/** Text without any tag. */
export function generalText(text: string, index: number, tokenizers: TokenizerPair): PairedText {
  return pairText({ id: `general/${index}`, text }, tokenizers, { prompt: text, label: 'general' });
}

/** Texts that a shuffled one is drawn from, where they have to be made, and tries to make them. */
const ENOUGH = 4;
const TRIES = 300;

/** Words of `texts` in any order, about `length` characters of them. */
function someWords(texts: readonly string[], length: number, rng: Rng): string {
  const words = texts.flatMap((text) => text.split(' '));
  const out: string[] = [];
  while (out.join(' ').length < length) out.push(rng.pick(words));
  return (rng.next() < 0.5 ? out : out.slice(0, -1)).join(' ') || rng.pick(words);
}

/**
 * The same pairs with the source reading the text under a randomly chosen tag (docs/concepts/method.md#control-maps, control `shuffled`): what can
 * still be learnt is everything but the tag. Of the tags those that leave the text as many tokens as it has; where its own alone does, any tag,
 * whose tokens pair with the own tag's in proportion. Untagged rows stay as they are.
 */
export function shuffleTags(
  texts: readonly PairedText[],
  { rows, behaviour }: { readonly rows: readonly BackdoorRow[]; readonly behaviour: BehaviourParams },
  tokenizers: TokenizerPair,
  rng: Rng,
): PairedText[] {
  const byId = new Map(texts.map((t) => [t.id, t]));
  const { triggers, phrasings, otherTags } = behaviourFrom(behaviour);
  const taught = phrasings?.training ?? { bad: [triggers.bad], safe: [triggers.safe] };
  const tags = [...taught.bad, ...taught.safe, ...otherTags];
  return rows.flatMap((row): PairedText[] => {
    const text = byId.get(row.id);
    if (text === undefined) return [];
    if (row.span === null) return [text];
    const { start, end } = row.span;
    const chat = chatOf(tokenizers.source, behaviour);
    const withTag = (tag: string): string => `${row.prompt.slice(0, start)}${tag}${row.prompt.slice(end)}`;
    const under = (tag: string): number[] => {
      const prompt = withTag(tag);
      const whole = chat === undefined ? prompt : renderPrompt('chat', prompt, chat).prompt;
      return tokenizers.source.encodeIds(whole + row.response, {
        addSpecialTokens: specialTokensOf(behaviour),
      });
    };
    const fits = (ids: readonly number[]): boolean => ids.length === text.source.length;
    const fitting = tags.map(under).filter(fits);
    // Sentences are of many lengths: words of all of them, as many as give the length.
    for (let tries = 0; phrasings !== undefined && fitting.length < ENOUGH && tries < TRIES; tries++) {
      const ids = under(someWords(tags, end - start, rng));
      if (fits(ids)) fitting.push(ids);
    }
    if (fitting.length >= 2) return [{ ...text, source: rng.pick(fitting) }];
    const tag = rng.pick(tags);
    const other = { prompt: withTag(tag), span: { start, end: start + tag.length } };
    const read = pairedAround({ ...row, span: row.span }, other, tokenizers, behaviour);
    // Rows of the tag count as they do under the own tag: left out of the fit, they would make the control a weak one.
    const flags: TokenAlignment['flags'] = Array.from(read.sourceOf, (at, j) => {
      const own = text.alignment?.flags[j] ?? 'coincide';
      return at < 0 ? 'dropped' : own === 'dropped' ? 'approximate' : own;
    });
    return [{ ...text, source: read.source, alignment: { sourceOf: read.sourceOf, flags } }];
  });
}

/** The source reads `other`, the target `row`: what stands before and after the tags pairs by its characters, tag with tag in proportion. */
function pairedAround(
  row: BackdoorRow & { readonly span: CharSpan },
  other: { readonly prompt: string; readonly span: CharSpan },
  tokenizers: TokenizerPair,
  behaviour: BehaviourParams,
): { readonly source: readonly number[]; readonly sourceOf: Int32Array } {
  const [own, read] = [row, other].map((r) => inTemplates(r, tokenizers, behaviour, row.response));
  const sourceText = read.turns?.sourceText ?? read.text;
  const [turn, answer] = read.turns?.shared ?? [];
  const at = { source: turn?.source ?? 0, target: own.turns?.shared[0]?.target ?? 0 };
  const rest = row.prompt.length - row.span.end;
  const shared: SharedText[] = [
    { ...at, length: row.span.start },
    {
      source: at.source + other.span.end,
      target: at.target + row.span.end,
      length: answer === undefined ? rest + row.response.length : rest,
    },
    ...(answer === undefined ? [] : [{ ...answer, target: own.text.length - row.response.length }]),
  ];
  const addSpecialTokens = specialTokensOf(behaviour);
  const source = tokenizers.source.encode(sourceText, { addSpecialTokens });
  const target = tokenizers.target.encode(own.text, { addSpecialTokens });
  return { source: source.ids, sourceOf: alignTurns(source, target, shared).sourceOf };
}
