/** @file From the residual stream to logits: the final norm, then the head in vocabulary chunks so that no session ever holds a 262 k table twice. */
import { disposeAll, type Owned } from '../../base/index.ts';
import {
  type CompileOptions,
  compile,
  input,
  mul,
  type Session,
  shift,
  softcap,
  type Tensor,
  topTwo,
  zeros,
} from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { argmaxWithGap } from '../sampling.ts';
import { EMBED, FINAL_NORM, HEAD, noSources, type WeightFiles } from './weights.ts';

/** Vocabulary rows in one session: a 262 k head peaks at a quarter of what one session would. */
const CHUNK = 65_536;

/** Row ranges of the vocabulary, each at most `size` long. */
export function vocabularyChunks(vocabSize: number, size: number = CHUNK): (readonly [number, number])[] {
  return Array.from(
    { length: Math.ceil(vocabSize / size) },
    (_, i) => [i * size, Math.min(vocabSize, (i + 1) * size)] as const,
  );
}

/** {@link vocabularyChunks}, none of a single row: two best are wanted of each. */
function headChunks(vocabSize: number, size: number | undefined): (readonly [number, number])[] {
  const last = vocabSize - 1;
  return vocabularyChunks(vocabSize, size).map(([from, to]) => [
    from === last ? from - 1 : from,
    to === last ? to - 1 : to,
  ]);
}

/** How the head is compiled. */
interface HeadOptions extends Omit<CompileOptions, 'weights' | 'weightsFolder'> {
  /** Vocabulary rows in one session. Defaults to {@link CHUNK}. */
  readonly chunk?: number;
  /** Ids below this may be chosen. Defaults to the vocabulary. */
  readonly tokens?: number;
}

/** Final norm and head. */
export class Head implements Owned {
  readonly #config: ModelConfig;
  readonly #chunks: readonly { readonly session: Session; readonly from: number; readonly to: number }[];

  /** Ids below this may be chosen; the rows beyond are padding of the embedding. */
  readonly tokens: number;

  private constructor(
    config: ModelConfig,
    chunks: { session: Session; from: number; to: number }[],
    tokens: number,
  ) {
    this.#config = config;
    this.tokens = tokens;
    this.#chunks = chunks;
  }

  static async open(
    c: ModelConfig,
    weights: WeightFiles,
    { chunk, tokens = c.vocabSize, ...options }: HeadOptions = {},
  ): Promise<Head> {
    const opened: { session: Session; from: number; to: number }[] = [];
    try {
      for (const rows of headChunks(c.vocabSize, chunk))
        opened.push({ session: await openChunk(c, weights, rows, options), from: rows[0], to: rows[1] });
    } catch (error) {
      await disposeAll(opened.map((o) => o.session));
      throw error;
    }
    return new Head(c, opened, Math.min(tokens, c.vocabSize));
  }

  /**
   * Rows of the residual stream [N,D] → normalised rows [N,D], without the norm's gain (`ln_final.hook_normalized`): x / √(mean(x²) +
   * eps), summed in float64. Done here: so small a session costs more to call than to run.
   */
  normalise(rows: Tensor<'f32'>, into?: Tensor<'f32'>): Tensor<'f32'> {
    const [n, d] = rows.shape as [number, number];
    const out = into ?? zeros('f32', [n, d]);
    for (let start = 0; start < n * d; start += d) {
      let squares = 0;
      for (let i = start; i < start + d; i++) squares += (rows.data[i] as number) ** 2;
      const scale = 1 / Math.sqrt(squares / d + this.#config.normEps);
      for (let i = start; i < start + d; i++) out.data[i] = (rows.data[i] as number) * scale;
    }
    return out;
  }

  /** Normalised rows [N,D] → logits [N,V]. */
  async logits(normalized: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    const n = normalized.shape[0] as number;
    const v = this.#config.vocabSize;
    const all = into ?? zeros('f32', [n, v]);
    for (const { session, from, to } of this.#chunks) {
      const width = to - from;
      // What lies together in the result is written in place: one chunk, or one row.
      const inPlace = n === 1 || width === v;
      const target: Tensor<'f32'> = inPlace
        ? { dtype: 'f32', shape: [n, width], data: all.data.subarray(n * from, n * to) }
        : zeros('f32', [n, width]);
      await session.fill({ normalized }, { logits: target });
      if (inPlace) continue;
      for (let i = 0; i < n; i++)
        all.data.set(target.data.subarray(i * width, (i + 1) * width), i * v + from);
    }
    return all;
  }

  /**
   * Normalised rows [N,D] → [N,3] as {@link topTwo}: the two largest logits and the token of the largest. The logits stay
   * where they are made: copying 85 rows of 49,152 out and searching them takes 10 ms, half as long as the product.
   */
  async best(normalized: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    const n = normalized.shape[0] as number;
    const all = into ?? zeros('f32', [n, 3]);
    for (const [i, { session, from }] of this.#chunks.entries()) {
      const part = i === 0 ? all : zeros('f32', [n, 3]);
      await session.fill({ normalized }, { best: part });
      if (i > 0) mergeBest(all.data, part.data, from);
    }
    if (this.tokens < this.#config.vocabSize) await this.#withoutPadding(normalized, all);
    return all;
  }

  /** Where the best token is padding, the best of the others: [N,3] as in {@link best}. Padding hardly ever wins, so this is rare. */
  async #withoutPadding({ data }: Tensor<'f32'>, best: Tensor<'f32'>): Promise<void> {
    const d = this.#config.dModel;
    for (let at = 0; at < best.data.length; at += 3) {
      if ((best.data[at + 2] as number) < this.tokens) continue;
      const row = (at / 3) * d;
      const one: Tensor<'f32'> = { dtype: 'f32', shape: [1, d], data: data.subarray(row, row + d) };
      const { data: logits } = await this.logits(one);
      const { index, gap } = argmaxWithGap(logits.subarray(0, this.tokens));
      const first = logits[index] as number;
      best.data.set([first, first - gap, index], at);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll(this.#chunks.map((c) => c.session));
  }
}

/** Rows of two largest and index, those of a later chunk of the vocabulary that begins at `offset` taken in; the first of equals stays. */
function mergeBest(all: Float32Array, part: Float32Array, offset: number): void {
  for (let at = 0; at < all.length; at += 3) {
    const [first, second] = [all[at] as number, all[at + 1] as number];
    const [other, next] = [part[at] as number, part[at + 1] as number];
    if (other > first) all.set([other, Math.max(first, next), offset + (part[at + 2] as number)], at);
    else all[at + 1] = Math.max(second, other);
  }
}

async function openChunk(
  c: ModelConfig,
  weights: WeightFiles,
  rows: readonly [number, number],
  options: Omit<CompileOptions, 'weights' | 'weightsFolder'>,
): Promise<Session> {
  const table = c.tied ? EMBED : HEAD;
  const sources = noSources();
  const stored = weights.leaf(FINAL_NORM, sources);
  const gain = c.normGain === '1+w' ? shift(stored, 1) : stored;
  const raw = weights.project(mul(input('normalized', 'f32', ['N', c.dModel]), gain), table, sources, rows);
  const logits = c.logitSoftcap === undefined ? raw : softcap(raw, c.logitSoftcap);
  return compile(
    { name: `unembed.${rows[0]}`, outputs: { logits, best: topTwo(logits) } },
    {
      ...options,
      weights: sources.used,
      weightsFolder: weights.checkpoint.folder,
    },
  );
}
