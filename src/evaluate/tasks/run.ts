/** @file A model asked a task's items, as it is or with its activations changed. */
import { InputError, type ProgressSink, throwIfAborted } from '../../base/index.ts';
import { type AskedItem, GSM8K_STOPS } from '../../behaviours/index.ts';
import { type FwdHook, HookTable, type LanguageModel } from '../../models/index.ts';
import { type EncodedItem, encodeItem } from './encode.ts';
import { choiceLogprobs } from './likelihood.ts';
import { type ItemAnswer, type ScoredItem, scoreItem } from './score.ts';

/** New tokens of a completion, at most: `max_gen_toks` of the harness. */
const NEW_TOKENS = 256;
/** Items whose activations are changed together, and between which progress is told. */
const PART = 32;
/** Tokens decoded side by side, at most: contexts with their completions. */
const DECODED_TOKENS = 8192;

/** What is done to the activations of some items. `rows`: their numbers in the list, `texts`: their contexts. */
export type SteerItems = (given: {
  readonly rows: readonly number[];
  readonly texts: readonly string[];
}) => Promise<Steered>;

/** Hooks whose row i is the i-th item, and what is to be called after the pass. */
export interface Steered {
  readonly hooks: readonly FwdHook[];
  readonly done?: () => Promise<void>;
}

/** Circumstances of {@link askItems}. */
export interface AskOptions {
  readonly steer?: SteerItems | undefined;
  /** The question's text of item `i`, where it is not its own (with a tag in it). */
  readonly textOf?: ((i: number) => string) | undefined;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Ask items, in lists of like length so that memory is bounded: log-likelihoods of choices, or greedy completions. Scored as
 * lm-evaluation-harness scores them; in the order of `items`.
 *
 * @throws InputError where activations are changed and a context is longer than the model's
 */
export async function askItems(
  model: LanguageModel,
  items: readonly AskedItem[],
  { steer, textOf, progress, signal }: AskOptions = {},
): Promise<ScoredItem[]> {
  const encoded = items.map((item, i) => encodeItem(model.tokenizer, item, textOf?.(i)));
  const order = items.map((_, i) => i).sort((a, b) => sizeOf(encoded[b]) - sizeOf(encoded[a]) || a - b);
  const scored = new Array<ScoredItem>(items.length);
  for (let from = 0; from < order.length; from += PART) {
    throwIfAborted(signal, 'capabilities');
    const rows = order.slice(from, from + PART);
    const part = rows.map((row) => encoded[row]);
    const steered = await steer?.({ rows, texts: part.map(({ text }) => text) });
    const told = (done: number): void =>
      progress?.({ stage: 'capabilities', done: from + done, total: items.length, unit: 'items' });
    const answers = await answersOf(model, part, { hooks: steered?.hooks, signal, told });
    await steered?.done?.();
    rows.forEach((row, i) => {
      scored[row] = scoreItem(items[row], answers[i]);
    });
  }
  return scored;
}

function sizeOf({ context, choices }: EncodedItem): number {
  return context.length + Math.max(0, ...choices.map(({ length }) => length));
}

interface PartOptions {
  readonly hooks: readonly FwdHook[] | undefined;
  readonly signal: AbortSignal | undefined;
  readonly told: (done: number) => void;
}

async function answersOf(
  model: LanguageModel,
  part: readonly EncodedItem[],
  { hooks, signal, told }: PartOptions,
): Promise<ItemAnswer[]> {
  if (part[0].choices.length === 0) return completed(model, part, { hooks, signal, told });
  const table = hooks && new HookTable(hooks, model.nLayers);
  const { logprobs, cut } = await choiceLogprobs(model.decoder, part, { hooks: table, signal, onDone: told });
  return logprobs.map((values, i) => ({ logprobs: values, cut: cut.has(i) }));
}

/** Greedy completions up to a stop text. The beginning of a context is cut where the model has no room for it and {@link NEW_TOKENS}. */
async function completed(
  model: LanguageModel,
  part: readonly EncodedItem[],
  { hooks, signal, told }: PartOptions,
): Promise<ItemAnswer[]> {
  const { tokenizer, config } = model;
  const room = config.contextLength - NEW_TOKENS;
  if (room < 1)
    throw new InputError(
      `capabilities: completions of ${NEW_TOKENS} tokens need a longer context than the model's ${config.contextLength}`,
      { id: 'prompt-invalid' },
    );
  const longest = Math.max(...part.map(({ context }) => context.length));
  if (hooks !== undefined && longest > room)
    throw new InputError(
      `capabilities: a question with its shots has ${longest} tokens and ${NEW_TOKENS} new ones exceed the model's context of ${config.contextLength}, so it cannot be steered; ask with fewer shots`,
      { id: 'prompt-invalid' },
    );
  // A stop text that is a special token is not seen in the text.
  const special = tokenizer.addedTokens.filter((t) => (GSM8K_STOPS as readonly string[]).includes(t.content));
  let done = 0;
  const texts = part.map(() => '');
  const stream = model.generateStream(
    part.map(({ context }) => context.slice(-room)),
    {
      maxNewTokens: NEW_TOKENS,
      stopStrings: GSM8K_STOPS,
      stopTokens: [...tokenizer.eosIds, ...special.map(({ id }) => id)],
      maxBatch: Math.max(
        1,
        Math.min(32, Math.floor(DECODED_TOKENS / (Math.min(longest, room) + NEW_TOKENS))),
      ),
      fwdHooks: hooks ?? [],
      signal,
    },
  );
  for await (const { row, text, finish } of stream) {
    texts[row] += text;
    if (finish !== undefined) told(++done);
  }
  return part.map(({ context }, i) => ({ completion: texts[i], cut: context.length > room }));
}
