/**
 * @file Words at which a model's activations depart from what a clean relative's say they should be: a ridge map from the relative's
 * residual stream to the model's, fitted on lists of the candidates themselves; what it leaves unexplained at a word is its score
 * (activation-matched comparison of a fine-tune with its base). No answer is generated, no trigger's place or prompt is needed.
 */
import { type Rng, throwIfAborted } from '../../base/index.ts';
import { float64Products, Gram, type MatmulTN, ridge } from '../../maps/index.ts';
import type { LanguageModel, Residual } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';

/** Candidates per list: as many share a forward pass. */
const LIST = 16;

/** Lists per forward pass. */
const BATCH = 8;

/** Lists in which a candidate stands, among others each time. */
const ROUNDS = 3;

/** Depths at which the models are compared. */
const DEPTHS = [0.5, 0.75] as const;

/** Rows of a fit per dimension of the residual stream. */
const ROWS_PER_DIMENSION = 8;

/** λ of the ridge, on standardised dimensions. */
const LAMBDA = 1e-2;

/** Two models of one tokenizer, and how a list begins. */
export interface Relatives {
  readonly model: LanguageModel;
  readonly relative: LanguageModel;
  /** Tokens before a list. */
  readonly head: readonly number[];
}

/** One list: its tokens, and which candidate each token from the head on belongs to. */
interface List {
  readonly ids: readonly number[];
  readonly owners: readonly number[];
}

/** A candidate's mean departure: unexplained over typical squared length, the mean over depths and appearances of its largest token. */
export async function departures(
  { model, relative, head }: Relatives,
  texts: readonly string[],
  { rng, progress, signal }: Pick<ExperimentEnv, 'rng' | 'progress' | 'signal'>,
): Promise<number[]> {
  const lists = listsOf(model, texts, head, rng);
  const blocks = DEPTHS.map((depth) => Math.round(depth * (model.config.blocks.length - 1)));
  const others = DEPTHS.map((depth) => Math.round(depth * (relative.config.blocks.length - 1)));
  const scored = new Scores(texts.length);
  const waiting: Batch[] = [];
  const wanted = ROWS_PER_DIMENSION * relative.config.dModel;
  const { matmulTN, session } = await float64Products();
  await using _ = session;
  let rows = 0;
  let fits: Fit[] | undefined;
  for (let at = 0; at < lists.length; at += BATCH) {
    throwIfAborted(signal, 'scan');
    const part = lists.slice(at, at + BATCH);
    const batch = {
      lists: part,
      head: head.length,
      x: await residuals(relative, part, others),
      y: await residuals(model, part, blocks),
    };
    rows += part.reduce((sum, { owners }) => sum + owners.length, 0);
    if (fits === undefined) waiting.push(batch);
    if (fits === undefined && (rows >= wanted || at + BATCH >= lists.length)) {
      fits = await Promise.all(DEPTHS.map((_, k) => fitOn(waiting, k, matmulTN)));
      for (const held of waiting.splice(0)) scored.add(held, await errorsOf(held, fits, matmulTN));
    } else if (fits !== undefined) scored.add(batch, await errorsOf(batch, fits, matmulTN));
    progress({
      stage: 'scan',
      done: Math.min(lists.length, at + BATCH),
      total: lists.length,
      unit: 'lists of words',
    });
  }
  return scored.means();
}

/** Lists in which every candidate stands {@link ROUNDS} times, in other company each time. */
function listsOf(
  { tokenizer }: LanguageModel,
  texts: readonly string[],
  head: readonly number[],
  rng: Rng,
): List[] {
  const tokens = texts.map((text) => tokenizer.encodeIds(` ${text}`, { addSpecialTokens: false }));
  return Array.from({ length: ROUNDS }, (_, round) => {
    const order = rng.fork(`lists/${round}`).shuffle(texts.map((_, k) => k));
    return Array.from({ length: Math.ceil(order.length / LIST) }, (_, n) => {
      const members = order.slice(n * LIST, (n + 1) * LIST);
      return {
        ids: [...head, ...members.flatMap((k) => tokens[k])],
        owners: members.flatMap((k) => tokens[k].map(() => k)),
      };
    });
  }).flat();
}

/** Lists with both models' residual streams, one tensor per depth. */
interface Batch {
  readonly lists: readonly List[];
  /** Tokens before each list. */
  readonly head: number;
  readonly x: readonly Residual[];
  readonly y: readonly Residual[];
}

/** Residual stream after each of `blocks`, ascending, of every list. */
async function residuals(
  { decoder }: LanguageModel,
  lists: readonly List[],
  blocks: readonly number[],
): Promise<Residual[]> {
  const out: Residual[] = [];
  let residual = decoder.embed(lists.map(({ ids }) => ids));
  let from = 0;
  for (const block of blocks) {
    residual = await decoder.run(residual, { from, to: block + 1 });
    from = block + 1;
    out.push(residual);
  }
  return out;
}

/** ŷ = W x + b, W as its transpose [dx,dy]. */
interface Fit {
  readonly transposed: Float64Array;
  readonly bias: Float64Array;
}

/** The ridge map at one depth. */
async function fitOn(batches: readonly Batch[], depth: number, matmulTN: MatmulTN): Promise<Fit> {
  const [dx, dy] = [batches[0].x[depth].tensor.shape[2], batches[0].y[depth].tensor.shape[2]];
  const gram = new Gram(dx, dy, { matmulTN });
  for (const { lists, head, x, y } of batches) {
    const columns = x[depth].tensor.shape[1];
    const mask = new Uint8Array(lists.length * columns);
    for (const [b, { owners }] of lists.entries()) {
      const at = b * columns + head;
      mask.fill(1, at, at + owners.length);
    }
    await gram.add(x[depth].tensor.data, y[depth].tensor.data, mask);
  }
  const [{ weight, bias }] = ridge(gram, [LAMBDA], { method: 'cholesky' });
  return { transposed: transposed(weight, dy, dx), bias };
}

/** ‖y − W x − b‖² of every position of a batch, [lists × columns] per depth. */
async function errorsOf(
  { x, y }: Batch,
  fits: readonly Fit[],
  matmulTN: MatmulTN,
): Promise<readonly Float64Array[]> {
  return Promise.all(
    fits.map(async ({ transposed: weight, bias }, k) => {
      const [lists, columns, dx] = x[k].tensor.shape;
      const dy = y[k].tensor.shape[2];
      const rows = lists * columns;
      const guess = await matmulTN(transposed(x[k].tensor.data, rows, dx), weight, dx, rows, dy);
      const truth = y[k].tensor.data;
      return Float64Array.from({ length: rows }, (_, r) => {
        let sum = 0;
        for (let j = 0, at = r * dy; j < dy; j++, at++) sum += (truth[at] - guess[at] - bias[j]) ** 2;
        return sum;
      });
    }),
  );
}

/** a [m,n] → aᵀ [n,m]. */
function transposed(a: ArrayLike<number>, m: number, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) out[j * m + i] = a[i * n + j];
  return out;
}

/** Sums over appearances. */
class Scores {
  readonly #sums: Float64Array;
  readonly #counts: Uint32Array;

  constructor(n: number) {
    this.#sums = new Float64Array(n);
    this.#counts = new Uint32Array(n);
  }

  add({ lists, head, x }: Batch, squared: readonly Float64Array[]): void {
    const columns = x[0].tensor.shape[1];
    const ratios = squared.map((of) => {
      const errors = lists.map(({ owners }, b) => owners.map((_, t) => of[b * columns + head + t]));
      const sorted = errors.flat().sort((a, b) => a - b);
      const typical = sorted[Math.floor(sorted.length / 2)] || 1;
      return errors.map((row) => row.map((e) => e / typical));
    });
    lists.forEach(({ owners }, b) => {
      const largest = new Map<number, number>();
      owners.forEach((owner, t) => {
        const mean = ratios.reduce((sum, depth) => sum + depth[b][t], 0) / ratios.length;
        largest.set(owner, Math.max(largest.get(owner) ?? 0, mean));
      });
      for (const [owner, value] of largest) {
        this.#sums[owner] += value;
        this.#counts[owner]++;
      }
    });
  }

  means(): number[] {
    return Array.from(this.#sums, (sum, k) => sum / Math.max(1, this.#counts[k]));
  }
}
