/**
 * @file Fast arithmetic, opened only where it agrees with exact on the caller's own prompts. Activations of 8 bits err by 0.4 % where
 * they are of one size, and by all they are worth beside a massive one in their block: such models pick other tokens without a word.
 */
import { InputError } from '../base/index.ts';
import {
  type ArithmeticFigures,
  type ArithmeticGuardSettings,
  arithmeticGuardSettings,
} from '../contracts/index.ts';
import { type Arithmetic, modelProvider, type Provider, type Tensor, zeros } from '../engine/index.ts';
import type { Checkpoint, WeightsForm } from './checkpoint/index.ts';
import type { ModelConfig } from './config.ts';
import type { Decoder } from './decoder/decoder.ts';
import { decodeSteps } from './generate.ts';
import { argmaxWithGap } from './sampling.ts';
import type { Tokenizer } from './tokenizer/index.ts';

/** What fast arithmetic is compared on, and how near it must come; bounds and thresholds default to those of the schema. */
export interface ArithmeticGuard {
  /** What the model is about to be asked, or some of it: texts (special tokens are added), or token ids made with its files. */
  readonly prompts: readonly string[] | ((files: ReadFiles) => readonly (readonly number[])[]);
  readonly settings?: Partial<ArithmeticGuardSettings> | undefined;
}

/** What of a model is there before its weights. */
interface ReadFiles {
  readonly tokenizer: Tokenizer;
  readonly config: ModelConfig;
}

/** {@link ArithmeticGuard} of a model whose files are open. */
interface GuardInput {
  /** Of the model, in messages. */
  readonly name: string;
  /** Token ids, a list a prompt. */
  readonly prompts: readonly (readonly number[])[];
  readonly stopTokens: readonly number[];
  readonly settings: ArithmeticGuardSettings;
}

/**
 * The guard that fast arithmetic needs, before any file is opened.
 *
 * @throws InputError without one, for weights in float32, and for another provider than the CPU
 */
export function guardOf(
  name: string,
  {
    weights = 'f32',
    provider = modelProvider(),
    guard,
  }: {
    readonly weights?: WeightsForm | undefined;
    readonly provider?: Provider | undefined;
    readonly guard?: ArithmeticGuard | undefined;
  },
): ArithmeticGuard {
  if (weights !== 'packed') throw notFor(name, 'packed weights', `weights in ${weights}`);
  if (provider !== 'cpu') throw notFor(name, 'the provider cpu', provider);
  if (guard === undefined) throw notFor(name, 'prompts to compare it with exact arithmetic on', 'none');
  return guard;
}

/** @throws InputError for a model that has no packed matrix, or a guard without a prompt */
export function guardInput(
  name: string,
  { prompts, settings = {} }: ArithmeticGuard,
  { checkpoint, ...files }: ReadFiles & { readonly checkpoint: Checkpoint },
): GuardInput {
  if (checkpoint.packed === undefined)
    throw notFor(name, 'a quantised GGUF', 'a model whose matrices are floats');
  const ids =
    typeof prompts === 'function'
      ? prompts(files)
      : prompts.map((text) => files.tokenizer.encodeIds(text, { addSpecialTokens: 'auto' }));
  if (ids.length === 0) throw notFor(name, 'prompts to compare it with exact arithmetic on', 'none');
  return {
    name,
    prompts: ids,
    stopTokens: files.tokenizer.eosIds,
    settings: arithmeticGuardSettings.parse(settings),
  };
}

function notFor(name: string, wanted: string, got: string): InputError {
  return new InputError(`${name}: fast arithmetic: wanted ${wanted}, got ${got}; take exact arithmetic`, {
    id: 'option-conflict',
  });
}

/**
 * Open a decoder in exact arithmetic, then in fast, one at a time; compare their logits; give the fast one.
 *
 * @throws InputError with the figures where they miss what the settings want
 */
export async function openFast(
  open: (arithmetic: Arithmetic) => Promise<Decoder>,
  { prompts, stopTokens, settings, name }: GuardInput,
): Promise<{ readonly decoder: Decoder; readonly figures: ArithmeticFigures }> {
  const chosen = spread(prompts, settings.prompts);
  const { texts, exact } = await (async () => {
    await using decoder = await open('exact');
    const texts = chooseTexts(
      await continued(decoder, chosen, stopTokens, settings.least),
      settings.positions,
    );
    return { texts, exact: await logitsOf(decoder, texts) };
  })();
  const decoder = await open('fast');
  try {
    const figures = { prompts: chosen.length, ...compared(exact, await logitsOf(decoder, texts), decoder) };
    refuse(figures, settings, name);
    return { decoder, figures };
  } catch (error) {
    await decoder[Symbol.asyncDispose]();
    throw error;
  }
}

/** Tokens of one pass: enough to be quick, few enough to be small beside the weights. */
const BATCH_TOKENS = 2048;

/** A row of tokens, and the positions in it that are compared. */
interface Text {
  readonly ids: readonly number[];
  readonly positions: readonly number[];
}

/** The rows, each with its share of `most` positions, evenly spread and its last among them. */
function chooseTexts(rows: readonly (readonly number[])[], most: number): Text[] {
  const each = Math.max(1, Math.floor(most / rows.length));
  return rows.map((ids) => ({
    ids,
    positions: spread([...ids.keys()].reverse(), each).reverse(),
  }));
}

/** At most `n` of a list, evenly spread, the first among them. */
function spread<T>(all: readonly T[], n: number): T[] {
  const count = Math.min(n, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}

/** The prompts; where they have fewer than `least` tokens together, each with a part of its greedy completion after it. */
async function continued(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  stopTokens: readonly number[],
  least: number,
): Promise<number[][]> {
  const rows = prompts.map((ids) => [...ids]);
  const missing = least - rows.reduce((n, ids) => n + ids.length, 0);
  const longest = Math.max(...rows.map((ids) => ids.length));
  const each = Math.min(Math.ceil(missing / rows.length), decoder.config.contextLength - longest);
  if (each <= 0) return rows;
  for await (const { row, id, finish } of decodeSteps(decoder, prompts, { maxNewTokens: each, stopTokens }))
    if (finish !== 'stop') rows[row]!.push(id);
  return rows;
}

/** Logits at the chosen positions, [N,V]. */
async function logitsOf(decoder: Decoder, texts: readonly Text[]): Promise<Tensor<'f32'>> {
  const { dModel } = decoder.config;
  const rows = zeros('f32', [texts.reduce((n, { positions }) => n + positions.length, 0), dModel]);
  let at = 0;
  for (const part of batches(texts)) {
    const { tensor } = await decoder.run(decoder.embed(part.map(({ ids }) => ids)));
    const columns = tensor.shape[1] as number;
    for (const [b, { positions }] of part.entries())
      for (const t of positions) {
        const start = (b * columns + t) * dModel;
        rows.data.set(tensor.data.subarray(start, start + dModel), dModel * at++);
      }
  }
  return decoder.unembed(rows);
}

/** Neighbours that are run side by side: {@link BATCH_TOKENS} with their padding at most, or one alone. */
function batches(texts: readonly Text[]): Text[][] {
  const parts: Text[][] = [];
  let longest = 0;
  for (const text of texts) {
    const part = parts.at(-1);
    longest = Math.max(longest, text.ids.length);
    if (part !== undefined && longest * (part.length + 1) <= BATCH_TOKENS) part.push(text);
    else {
      parts.push([text]);
      longest = text.ids.length;
    }
  }
  return parts;
}

/** The figures of logits [N,V] beside exact ones. Tokens that are never chosen do not count. */
function compared(
  exact: Tensor<'f32'>,
  fast: Tensor<'f32'>,
  { tokens, config: { vocabSize } }: Decoder,
): Omit<ArithmeticFigures, 'prompts'> {
  const positions = exact.shape[0] as number;
  let [same, difference, largest] = [0, 0, 0];
  for (let start = 0; start < exact.data.length; start += vocabSize) {
    const [a, b] = [exact, fast].map(({ data }) => data.subarray(start, start + tokens)) as [
      Float32Array,
      Float32Array,
    ];
    if (argmaxWithGap(a).index === argmaxWithGap(b).index) same++;
    for (let i = 0; i < tokens; i++) {
      largest = Math.max(largest, Math.abs(a[i]!));
      difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    }
  }
  return { positions, same_best: same / positions, logit_difference: difference / largest };
}

function refuse(figures: ArithmeticFigures, settings: ArithmeticGuardSettings, name: string): void {
  const { positions, prompts, same_best, logit_difference } = figures;
  if (same_best >= settings.same_best && logit_difference <= settings.logit_difference) return;
  throw new InputError(
    `${name}: fast arithmetic: wanted the best token of exact arithmetic at ≥ ${percent(settings.same_best)} of positions and logits within ${percent(settings.logit_difference)} of the largest, got ${percent(same_best)} and ${percent(logit_difference)} at ${positions} positions of ${prompts} prompts; take exact arithmetic`,
    { id: 'arithmetic-differs' },
  );
}

const percent = (share: number): string => `${(100 * share).toPrecision(3)} %`;
