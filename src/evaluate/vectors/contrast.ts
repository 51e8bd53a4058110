/** @file Contrast pairs as a model reads them: text in its template, token ids, and the positions that are read. */
import { hashJson, InputError } from '../../base/index.ts';
import { type ChatRenderer, type PairRow, renderPrompt, type TemplateName } from '../../behaviours/index.ts';
import type { VectorPosition } from '../../contracts/index.ts';
import { differingSpan, type Tokenizer } from '../../models/index.ts';

/** A prompt as tokens, and the positions whose mean activation stands for it. */
export interface ReadPrompt {
  readonly id: string;
  readonly text: string;
  readonly ids: readonly number[];
  readonly positions: readonly number[];
  /** Of a question with its answer: how many of the tokens are the question's prompt. */
  readonly question?: number;
}

/** Positive and negative prompts. `paired`: the i-th of one belongs to the i-th of the other. */
export interface ContrastSet {
  readonly positive: readonly ReadPrompt[];
  readonly negative: readonly ReadPrompt[];
  readonly paired: boolean;
}

/** How prompts are made and where they are read. */
export interface ContrastReading {
  readonly template: TemplateName;
  /** Needed for the template `chat`. */
  readonly chat?: ChatRenderer;
  readonly position: VectorPosition;
  /** Tokens after the differing span that are read too. Defaults to 0. */
  readonly after?: number;
}

/** A text in its template, as ids. A chat template writes its own special tokens: none is added to them. */
export function readText(
  tokenizer: Tokenizer,
  text: string,
  { template, chat }: Pick<ContrastReading, 'template' | 'chat'>,
): { readonly text: string; readonly ids: number[] } {
  const { prompt } = renderPrompt(template, text, chat);
  return { text: prompt, ids: idsOf(tokenizer, prompt, template) };
}

/**
 * Pairs as tokens. An answer stands after its question's prompt. With the position `span` a prompt is read at the tokens in which the
 * pair differs (common beginning and end taken away).
 *
 * @throws InputError for a pair without a difference, and for a `span` without a token
 */
export function pairSet(
  tokenizer: Tokenizer,
  rows: readonly PairRow[],
  reading: ContrastReading,
): ContrastSet {
  const pairs = rows.map((row) => {
    const [a, b] = [row.positive, row.negative].map((answer) =>
      row.question === undefined
        ? readText(tokenizer, answer, reading)
        : answered(tokenizer, row.question, answer, reading),
    );
    const places = placesOf(a.ids, b.ids, reading, row.id);
    return { row, a, b, places };
  });
  return {
    positive: pairs.map(({ row, a, places }) => ({ id: row.id, ...a, positions: places[0] })),
    negative: pairs.map(({ row, b, places }) => ({ id: row.id, ...b, positions: places[1] })),
    paired: true,
  };
}

/** Two lists of prompts; equally many are pairs in their order. @throws InputError for the position `span` of unequal lists */
export function listSet(
  tokenizer: Tokenizer,
  lists: { readonly positive: readonly PairText[]; readonly negative: readonly PairText[] },
  reading: ContrastReading,
): ContrastSet {
  const { positive, negative } = lists;
  const { position } = reading;
  if (positive.length === negative.length)
    return pairSet(
      tokenizer,
      positive.map(({ id, text }, i) => ({ id, positive: text, negative: negative[i].text })),
      reading,
    );
  if (position === 'span')
    throw new InputError(
      `position span: wants pairs, got ${positive.length} positive and ${negative.length} negative prompts; take last or mean`,
      { id: 'option-conflict' },
    );
  const read = (texts: readonly PairText[]): ReadPrompt[] =>
    texts.map(({ id, text }) => {
      const prompt = readText(tokenizer, text, reading);
      return { id, ...prompt, positions: own(prompt.ids, position) };
    });
  return { positive: read(positive), negative: read(negative), paired: false };
}

/** A text with a name. */
interface PairText {
  readonly id: string;
  readonly text: string;
}

/** Hash of what is read: ids and positions of every prompt. */
export function contrastHash({ positive, negative }: ContrastSet): string {
  const read = (prompts: readonly ReadPrompt[]) => prompts.map(({ ids, positions }) => [ids, positions]);
  return hashJson({ positive: read(positive), negative: read(negative) });
}

function answered(
  tokenizer: Tokenizer,
  question: string,
  answer: string,
  { template, chat }: ContrastReading,
): { text: string; ids: number[]; question: number } {
  const { prompt } = renderPrompt(template, question, chat);
  const space = template !== 'raw' || /\s$/.test(prompt) || /^\s/.test(answer) ? '' : ' ';
  const text = `${prompt}${space}${template === 'raw' ? answer : answer.trim()}`;
  const ids = idsOf(tokenizer, text, template);
  const alone = idsOf(tokenizer, prompt, template);
  const parts = alone.findIndex((id, i) => id !== ids[i]);
  return { text, ids, question: parts === -1 ? alone.length : parts };
}

function idsOf(tokenizer: Tokenizer, text: string, template: TemplateName): number[] {
  return tokenizer.encodeIds(text, { addSpecialTokens: template === 'chat' ? false : 'auto' });
}

function placesOf(
  a: readonly number[],
  b: readonly number[],
  { position, after = 0 }: ContrastReading,
  id: string,
): [number[], number[]] {
  if (a.join() === b.join())
    throw new InputError(`pairs: row ${id}: both texts are the same ${a.length} tokens; a pair must differ`, {
      id: 'data-invalid',
    });
  if (position !== 'span') return [own(a, position), own(b, position)];
  const { start, endA, endB } = differingSpan(a, b);
  const places = [
    range(start, Math.min(a.length, endA + after)),
    range(start, Math.min(b.length, endB + after)),
  ] as const;
  if (places[0].length === 0 || places[1].length === 0)
    throw new InputError(
      `pairs: row ${id}: one text is the other with tokens left out, so its span is empty; take --after 1, or --position last`,
      { id: 'span-invalid' },
    );
  return [places[0], places[1]];
}

/** Position 0 is left out of the mean where there are others: it holds the attention sink. */
function own(ids: readonly number[], position: Exclude<VectorPosition, 'span'>): number[] {
  return position === 'last' ? [ids.length - 1] : range(ids.length > 1 ? 1 : 0, ids.length);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
