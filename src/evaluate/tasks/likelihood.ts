/**
 * @file Log-likelihoods of choices after a context. A context is run once and its keys and values kept; the tokens of one choice after
 * another run on them. Contexts that begin alike (shots, a description) share that beginning.
 */
import { InputError, throwIfAborted } from '../../base/index.ts';
import { type Tensor, zeros } from '../../engine/index.ts';
import { type Decoder, type HookTable, KvCache, logSumExp, type Residual } from '../../models/index.ts';
import type { EncodedItem } from './encode.ts';

/** Tokens of contexts that run together, at most; a longer context runs alone. */
const BATCH_TOKENS = 2048;
/** Contexts that run together, at most. */
const BATCH_ROWS = 32;
/** A common beginning shorter than this is not worth a pass of its own. */
const SHARED_TOKENS = 48;
/** Logits held at once, elements: 64 MiB. */
const LOGITS = 1 << 24;

/** Circumstances of {@link choiceLogprobs}. */
interface LikelihoodOptions {
  /** What is done to activations; a row is an item's index. */
  readonly hooks?: HookTable | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told the number of items that are done, after every batch. */
  readonly onDone?: (items: number) => void;
}

/** What came of it. */
export interface ChoiceLogprobs {
  /** Natural-log probabilities [item][choice], summed over a choice's tokens. */
  readonly logprobs: readonly (readonly number[])[];
  /** Items whose context was cut. */
  readonly cut: ReadonlySet<number>;
}

/** A context with the choices that follow it. */
interface Unit {
  readonly item: number;
  readonly context: readonly number[];
  readonly choices: readonly { readonly index: number; readonly ids: readonly number[] }[];
}

/**
 * ln p(choice | context) of every choice. Where context and choice exceed the model's context by more than the last token, which is
 * not fed, tokens are cut from the left, as lm-evaluation-harness does.
 *
 * @throws InputError where an item must be cut and `hooks` are given, since their positions would be others
 */
export async function choiceLogprobs(
  decoder: Decoder,
  items: readonly EncodedItem[],
  options: LikelihoodOptions = {},
): Promise<ChoiceLogprobs> {
  const { contextLength } = decoder.config;
  const logprobs = items.map(({ choices }) => choices.map(() => 0));
  const cut = new Set<number>();
  const units = items.flatMap((item, index): Unit[] => {
    const choices = item.choices.map((ids, k) => ({ index: k, ids }));
    const longest = Math.max(0, ...item.choices.map(({ length }) => length));
    if (item.context.length + longest <= contextLength + 1)
      return [{ item: index, context: item.context, choices }];
    refuseSteered(options.hooks, contextLength);
    cut.add(index);
    return choices.map((choice) => ({
      item: index,
      context: item.context.slice(choice.ids.length - contextLength - 1),
      choices: [choice],
    }));
  });
  let done = 0;
  for (const batch of batches(units)) {
    throwIfAborted(options.signal, 'capabilities');
    await scoreBatch(decoder, batch, options, ({ item }, choice, logprob) => {
      (logprobs[item] as number[])[choice] = logprob;
    });
    done += new Set(batch.map(({ item }) => item)).size;
    options.onDone?.(Math.min(done, items.length));
  }
  return { logprobs, cut };
}

function refuseSteered(hooks: HookTable | undefined, length: number): void {
  if (hooks !== undefined)
    throw new InputError(
      `capabilities: a question with its shots is longer than the model's context of ${length} tokens, so it cannot be steered; ask with fewer shots`,
      { id: 'prompt-invalid' },
    );
}

/** Units of like length side by side. */
function batches(units: readonly Unit[]): Unit[][] {
  const out: Unit[][] = [];
  for (const unit of units.toSorted((a, b) => b.context.length - a.context.length)) {
    const last = out.at(-1);
    const longest = last?.[0]?.context.length ?? 0;
    if (last !== undefined && last.length < BATCH_ROWS && longest * (last.length + 1) <= BATCH_TOKENS)
      last.push(unit);
    else out.push([unit]);
  }
  return out;
}

type Report = (unit: Unit, choice: number, logprob: number) => void;

async function scoreBatch(
  decoder: Decoder,
  units: readonly Unit[],
  { hooks, signal }: LikelihoodOptions,
  report: Report,
): Promise<void> {
  const rows = units.map(({ item }) => item);
  const shared = hooks === undefined ? await sharedStart(decoder, units, signal) : undefined;
  const longest = Math.max(
    ...units.map((u) => u.context.length + Math.max(...u.choices.map((c) => c.ids.length))),
  );
  const cache = shared?.cache ?? new KvCache(decoder.config, units.length, longest);
  const context = { cache, rows, phase: 'prompt' as const, hooks, signal };
  const pass = (ids: readonly (readonly number[])[]): Promise<Residual> =>
    decoder.run(decoder.embed(ids, context), context);
  const sums = units.map(({ choices }) => choices.map(() => 0));
  const add = (row: number, choice: number, value: number): void => {
    const own = sums[row] as number[];
    own[choice] = (own[choice] as number) + value;
  };

  const before = shared?.length ?? 0;
  const read = await pass(units.map((u) => u.context.slice(before)));
  const starts = units.map((u) => u.context.length);
  // The last token of the context chooses the first of every choice.
  await eachLogprob(
    decoder,
    normalised(decoder, lastColumns(read), {
      hooks,
      rows,
      starts: starts.map((n) => n - 1),
      counts: rows.map(() => 1),
    }),
    units.flatMap(({ choices }, row) =>
      choices.map(({ ids }, k) => ({
        at: row,
        token: ids[0] as number,
        done: (x: number) => add(row, k, x),
      })),
    ),
  );
  const most = Math.max(...units.map(({ choices }) => choices.length));
  for (let k = 0; k < most; k++) {
    // What a choice's last token would choose is not asked.
    const fed = units.map(({ choices }) => choices[k]?.ids.slice(0, -1) ?? []);
    if (fed.every((ids) => ids.length === 0)) continue;
    const { tensor, counts } = await pass(fed);
    const columns = tensor.shape[1] as number;
    await eachLogprob(
      decoder,
      normalised(decoder, tensor, { hooks, rows, starts, counts }),
      units.flatMap(({ choices }, row) =>
        (choices[k]?.ids.slice(1) ?? []).map((token, t) => ({
          at: row * columns + t,
          token,
          done: (x: number) => add(row, k, x),
        })),
      ),
    );
    cache.rewind(starts);
  }
  cache.release();
  units.forEach((unit, row) => {
    unit.choices.forEach(({ index }, k) => {
      report(unit, index, (sums[row] as number[])[k] as number);
    });
  });
}

/** The common beginning of all contexts, run once and copied to every row; nothing where it is short. */
async function sharedStart(
  decoder: Decoder,
  units: readonly Unit[],
  signal: AbortSignal | undefined,
): Promise<{ readonly cache: KvCache; readonly length: number } | undefined> {
  const [{ context: first }, ...others] = units as [Unit, ...Unit[]];
  let length = first.length - 1;
  for (const { context } of others) {
    length = Math.min(length, context.length - 1);
    for (let i = 0; i < length; i++) if (context[i] !== first[i]) length = i;
  }
  if (others.length === 0 || length < SHARED_TOKENS) return undefined;
  const one = new KvCache(decoder.config, 1, length);
  await decoder.run(decoder.embed([first.slice(0, length)], { cache: one }), { cache: one, signal });
  const cache = one.select(units.map(() => 0));
  one.release();
  return { cache, length };
}

/** Who the rows of a tensor are, for hooks. */
interface Columns {
  readonly hooks: HookTable | undefined;
  readonly rows: readonly number[];
  readonly starts: readonly number[];
  readonly counts: readonly number[];
}

/** The final norm of [B,T,D], hooks fired: [B·T,D]. */
function normalised(
  decoder: Decoder,
  { data, shape }: Tensor<'f32'>,
  { hooks, ...context }: Columns,
): Tensor<'f32'> {
  const [b, t, d] = shape as [number, number, number];
  const flat = decoder.normalise({ dtype: 'f32', shape: [b * t, d], data });
  hooks?.fire(
    { site: 'normalized', layer: -1 },
    { ...flat, shape: [b, t, d] },
    { ...context, phase: 'prompt' },
  );
  return flat;
}

/** The last real column of every row, [B,1,D]. */
function lastColumns({ tensor: { data, shape }, counts }: Residual): Tensor<'f32'> {
  const [b, t, d] = shape as [number, number, number];
  const out = zeros('f32', [b, 1, d]);
  counts.forEach((n, row) => {
    const from = (row * t + n - 1) * d;
    out.data.set(data.subarray(from, from + d), row * d);
  });
  return out;
}

/** A log-probability that is wanted: of `token` after the normalised row `at`. */
interface Wanted {
  readonly at: number;
  readonly token: number;
  readonly done: (logprob: number) => void;
}

/** Compute the logits of the rows [N,D] that are asked for, a bounded number at once, and tell every log-probability wanted. */
async function eachLogprob(
  decoder: Decoder,
  { data }: Tensor<'f32'>,
  wanted: readonly Wanted[],
): Promise<void> {
  const { dModel: d, vocabSize: v } = decoder.config;
  const rows = [...new Set(wanted.map(({ at }) => at))];
  const most = Math.max(1, Math.floor(LOGITS / v));
  for (let from = 0; from < rows.length; from += most) {
    const part = rows.slice(from, from + most);
    const packed = zeros('f32', [part.length, d]);
    part.forEach((at, i) => {
      packed.data.set(data.subarray(at * d, (at + 1) * d), i * d);
    });
    const logits = await decoder.logits(packed);
    const found = new Map(part.map((at, i) => [at, logits.data.subarray(i * v, (i + 1) * v)]));
    const totals = new Map([...found].map(([at, row]) => [at, logSumExp(row)]));
    for (const { at, token, done } of wanted) {
      const row = found.get(at);
      if (row !== undefined) done((row[token] as number) - (totals.get(at) as number));
    }
  }
}
