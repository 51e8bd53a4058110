/** @file From decoded tokens to text: streamed as it comes, cut at stop strings, and collected into completions. */
import { InputError } from '../base/index.ts';
import type { Decoder } from './decoder/decoder.ts';
import { checkDecode, type DecodeOptions, decodeSteps } from './generate.ts';
import type { FwdHook, HookTable } from './hooks.ts';
import { StopText } from './stop-text.ts';
import type { Tokenizer } from './tokenizer/index.ts';

/** Options of `LanguageModel.generate`. */
export interface GenerateOptions extends Omit<DecodeOptions, 'hooks' | 'ended' | 'rows'> {
  readonly fwdHooks?: readonly FwdHook[];
  /** A row ends where its text contains one of these; the text is cut before it. */
  readonly stopStrings?: readonly string[];
  /** Rows decoded side by side. Defaults to 64. */
  readonly maxBatch?: number;
}

/** One finished completion. */
export interface Completion {
  /** New tokens, the stop token left out. */
  readonly ids: readonly number[];
  readonly text: string;
  readonly finishReason: 'stop' | 'length';
  /** Smallest distance between the two best logits on the way. */
  readonly smallestGap: number;
  /** Natural-log probabilities of `ids`; only with `logprobs`. */
  readonly logprobs?: readonly number[];
}

/** What `LanguageModel.generateStream` yields: a token, and the text it completed (may be empty inside a character). */
export interface StreamedToken {
  readonly row: number;
  readonly id: number;
  readonly text: string;
  readonly logprob?: number;
  readonly gap: number;
  readonly finish?: 'stop' | 'length';
}

/** Options of {@link streamTokens}. */
interface StreamOptions extends Omit<GenerateOptions, 'fwdHooks'> {
  /** Asked for at the start of every batch. */
  readonly hooks: () => HookTable;
}

/**
 * Decode prompts; the tokens as they come, rows interleaved. The token that ends a row (a stop token, or the one that completes a stop
 * string) comes with `finish: 'stop'` and `id: -1`, since it is no part of the completion.
 */
export async function* streamTokens(
  { decoder, tokenizer }: { readonly decoder: Decoder; readonly tokenizer: Tokenizer },
  prompts: readonly (readonly number[])[],
  options: StreamOptions,
): AsyncGenerator<StreamedToken, void, undefined> {
  const { hooks, stopStrings = [], maxBatch = 64, stopTokens = tokenizer.eosIds, ...decode } = options;
  if (!Number.isInteger(maxBatch) || maxBatch < 1)
    throw new InputError(`max batch: wanted an integer ≥ 1, got ${maxBatch}`, { id: 'option-invalid' });
  checkDecode(decoder.config, prompts, decode);
  // Rows of like length share a batch, so that little is padding.
  const order = prompts
    .map((_, i) => i)
    .sort((a, b) => (prompts[a] as number[]).length - (prompts[b] as number[]).length || a - b);
  for (let at = 0; at < order.length; at += maxBatch) {
    const members = order.slice(at, at + maxBatch);
    const ended = new Set<number>();
    const texts = members.map(() => new StopText(stopStrings));
    const streams = members.map(() => tokenizer.decodeStream({ skipSpecialTokens: true }));
    const batch = members.map((i) => prompts[i] as number[]);
    for await (const step of decodeSteps(decoder, batch, {
      ...decode,
      hooks: hooks(),
      stopTokens,
      ended,
      rows: members,
    })) {
      const stream = streams[step.row] as (typeof streams)[number];
      const text = texts[step.row] as StopText;
      const { row, id, finish, ...rest } = step;
      const place = { row: members[row] as number, ...rest };
      if (finish === 'stop') {
        yield { ...place, id: -1, text: text.push(stream.flush()) + text.flush(), finish };
        continue;
      }
      let piece = text.push(stream.push(id));
      if (finish === 'length') piece += text.push(stream.flush());
      if (text.stopped) {
        ended.add(row);
        yield { ...place, id: -1, text: piece, finish: 'stop' };
      } else if (finish === 'length') yield { ...place, id, text: piece + text.flush(), finish };
      else yield { ...place, id, text: piece };
    }
  }
}

/** The completions of `rows` prompts from their stream. */
export async function collectTokens(
  tokens: AsyncIterable<StreamedToken>,
  rows: number,
  withLogprobs = false,
): Promise<Completion[]> {
  const made = Array.from(
    { length: rows },
    (): { ids: number[]; text: string; logprobs: number[]; gap: number; finish: 'stop' | 'length' } => ({
      ids: [],
      text: '',
      logprobs: [],
      gap: Number.POSITIVE_INFINITY,
      finish: 'length',
    }),
  );
  for await (const token of tokens) {
    const row = made[token.row] as (typeof made)[number];
    row.text += token.text;
    row.gap = Math.min(row.gap, token.gap);
    if (token.finish !== undefined) row.finish = token.finish;
    if (token.id < 0) continue;
    row.ids.push(token.id);
    if (token.logprob !== undefined) row.logprobs.push(token.logprob);
  }
  return made.map(
    ({ ids, text, logprobs, gap, finish }): Completion => ({
      ids,
      text,
      finishReason: finish,
      smallestGap: gap,
      logprobs: withLogprobs ? logprobs : undefined,
    }),
  );
}
