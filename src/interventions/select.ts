/** @file From a token selection to positions, in one prompt: text spans, contrasts, positions, windows, tokens, less what is excluded. */
import { InputError } from '../base/index.ts';
import type { TokenMatch, TokenSelection } from '../contracts/index.ts';
import { differingSpan, type Encoding, type Tokenizer } from '../models/index.ts';

/** A prompt as tokens; `text` and `encoding` where it came as text (spans need them). */
export interface PromptTokens {
  readonly ids: readonly number[];
  readonly text?: string;
  readonly encoding?: Pick<Encoding, 'offsets'>;
  /** How `text` is encoded: a chat template wrote every special token it wants (false). Defaults to `auto`. */
  readonly addSpecialTokens?: false | 'auto';
}

/** A prompt as it is given: text, ids, or text in a chat template. */
export type PromptInput = string | readonly number[] | PromptTokens;

/** What is edited in one row. */
export interface SelectedTokens {
  /** Prompt positions, ascending. */
  readonly prompt: readonly number[];
  /** Whether the g-th generated token (0-based) is edited; undefined when none ever is. */
  readonly generated: ((g: number) => boolean) | undefined;
}

/** Text (special tokens added as the model's own input has them, unless told otherwise) or ids as a prompt. */
export function promptTokens(
  tokenizer: Tokenizer,
  input: PromptInput,
  addSpecialTokens: false | 'auto' = 'auto',
): PromptTokens {
  if (typeof input !== 'string') return 'ids' in input ? input : { ids: input };
  const encoding = tokenizer.encode(input, { addSpecialTokens });
  return { ids: encoding.ids, text: input, encoding, addSpecialTokens };
}

/**
 * Positions a selection names in one prompt. Text that does not occur, positions outside the prompt, a contrast that does not
 * differ are errors that begin with `where`; so is a selection that names no position at all here.
 */
export function selectTokens(
  selection: TokenSelection,
  prompt: PromptTokens,
  tokenizer: Tokenizer,
  where: string,
): SelectedTokens {
  const n = prompt.ids.length;
  const chosen = new Set<number>();
  const add = (positions: Iterable<number>): void => {
    for (const p of positions) chosen.add(p);
  };
  if (selection.match !== undefined) add(matched(selection.match, 1, prompt, where));
  if (selection.contrast !== undefined) add(contrasted(selection.contrast, prompt, tokenizer, where));
  if (selection.prompt !== undefined) add(range(0, n));
  if (selection.prompt_positions !== undefined)
    add(selection.prompt_positions.map((p) => inside(p, n, where)));
  if (selection.prompt_window !== undefined) add(windowed(selection.prompt_window, n));
  if (selection.prompt_tokens !== undefined)
    add(holding(tokenIds(selection.prompt_tokens, tokenizer, where), prompt));
  const drop = (positions: Iterable<number>): void => {
    for (const p of positions) chosen.delete(p);
  };
  if (selection.exclude_first) chosen.delete(0);
  if (selection.exclude_match !== undefined) drop(matched(selection.exclude_match, 0, prompt, where));
  if (selection.exclude_prompt_positions !== undefined)
    drop(selection.exclude_prompt_positions.map((p) => (p < 0 ? n + p : p)));
  if (selection.exclude_prompt_tokens !== undefined)
    drop(holding(tokenIds(selection.exclude_prompt_tokens, tokenizer, where), prompt));
  const generated = generatedRule(selection);
  if (chosen.size === 0 && generated === undefined)
    throw new InputError(`${where}: selects no token of a prompt of ${n} tokens`, { id: 'span-invalid' });
  return { prompt: [...chosen].sort((a, b) => a - b), generated };
}

/** The same rule for the donor prompt of a run: replacements are carried out in the texts the rule looks for. */
export function replaceInSelection(
  selection: TokenSelection,
  replace: Readonly<Record<string, string>>,
): TokenSelection {
  const match = (m: string | TokenMatch): string | TokenMatch =>
    typeof m === 'string' ? replaceAll(m, replace) : { ...m, text: replaceAll(m.text, replace) };
  return {
    ...selection,
    match: selection.match === undefined ? undefined : match(selection.match),
    exclude_match: selection.exclude_match === undefined ? undefined : match(selection.exclude_match),
  };
}

/** Every key of `replace` replaced by its value, in the order given. */
export function replaceAll(text: string, replace: Readonly<Record<string, string>>): string {
  return Object.entries(replace).reduce((t, [from, to]) => t.replaceAll(from, to), text);
}

function matched(
  match: string | TokenMatch,
  bareAfter: number,
  { text, encoding, ids }: PromptTokens,
  where: string,
): number[] {
  if (text === undefined || encoding === undefined)
    throw new InputError(`${where}: a text match needs a prompt given as text, got token ids`, {
      id: 'span-invalid',
    });
  const {
    text: needle,
    after,
    occurrence,
  } = typeof match === 'string' ? { text: match, after: bareAfter, occurrence: 'all' as const } : match;
  const starts: number[] = [];
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) starts.push(at);
  const number = { all: undefined, first: 0, last: starts.length - 1 };
  const wanted = typeof occurrence === 'number' ? occurrence : number[occurrence];
  const kept = wanted === undefined ? starts : starts.slice(wanted, wanted + 1);
  if (kept.length === 0)
    throw new InputError(
      `${where}: ${JSON.stringify(needle)} (occurrence ${occurrence}) was not found; it occurs ${starts.length} times in ${JSON.stringify(text.slice(0, 60))}…`,
      { id: 'text-not-found' },
    );
  return kept.flatMap((start) => {
    const end = start + needle.length;
    const touched = encoding.offsets.flatMap(([a, b], i) => (a < end && b > start && b > a ? [i] : []));
    const last = touched.at(-1);
    if (last === undefined)
      throw new InputError(`${where}: no token covers ${JSON.stringify(needle)}`, { id: 'text-not-found' });
    return [...range(touched[0], Math.min(ids.length, last + 1 + after))];
  });
}

function contrasted(
  { text, after }: NonNullable<TokenSelection['contrast']>,
  prompt: PromptTokens,
  tokenizer: Tokenizer,
  where: string,
): Iterable<number> {
  const other = promptTokens(tokenizer, text, prompt.addSpecialTokens).ids;
  const { start, endA } = differingSpan(prompt.ids, other);
  const end = Math.min(prompt.ids.length, endA + after);
  if (end <= start)
    throw new InputError(`${where}: the prompt has no token of its own against the contrast`, {
      id: 'span-invalid',
    });
  return range(start, end);
}

function generatedRule(selection: TokenSelection): ((g: number) => boolean) | undefined {
  const { generation, generation_positions: positions, generation_window: window } = selection;
  if (generation === undefined && positions === undefined && window === undefined) return undefined;
  const excluded = new Set(selection.exclude_generation_positions ?? []);
  const named = new Set(positions ?? []);
  return (g) =>
    !excluded.has(g) &&
    (generation !== undefined ||
      named.has(g) ||
      (window !== undefined && g >= window[0] && (window[1] === null || g < window[1])));
}

function windowed([from, to]: readonly [number, number | null], n: number): Iterable<number> {
  const at = (p: number): number => Math.min(n, Math.max(0, p < 0 ? n + p : p));
  return range(at(from), to === null ? n : at(to));
}

function inside(position: number, n: number, where: string): number {
  const p = position < 0 ? n + position : position;
  if (p < 0 || p >= n)
    throw new InputError(`${where}: prompt position ${position} is outside a prompt of ${n} tokens`, {
      id: 'span-invalid',
    });
  return p;
}

function tokenIds(tokens: readonly (number | string)[], tokenizer: Tokenizer, where: string): Set<number> {
  return new Set(
    tokens.map((token) => {
      if (typeof token === 'number') return token;
      const ids = tokenizer.encodeIds(token, { addSpecialTokens: false });
      const id = tokenizer.tokenToId(token) ?? (ids.length === 1 ? ids[0] : undefined);
      if (id === undefined)
        throw new InputError(
          `${where}: ${JSON.stringify(token)} is ${ids.length} tokens, wanted one; use match for spans`,
          { id: 'span-invalid' },
        );
      return id;
    }),
  );
}

function holding(wanted: ReadonlySet<number>, { ids }: PromptTokens): number[] {
  return ids.flatMap((id, i) => (wanted.has(id) ? [i] : []));
}

function* range(from: number, to: number): Generator<number, void, undefined> {
  for (let i = from; i < to; i++) yield i;
}
