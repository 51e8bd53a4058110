/**
 * @file What B makes of mapped activations, teacher-forced: all positions but the first replaced after block M, blocks M+1… run over
 * them, and the next-token distributions compared with those of B's own run.
 */
import { exponentials } from '../../base/index.ts';
import { type Decoder, logSumExp, type Residual } from '../../models/index.ts';
import { logitRows } from '../drafts/verify.ts';
import { replaceRows } from '../judges/likelihood.ts';
import { increase } from './sums.ts';

/** Sums over the positions of each text that are compared. */
export class ForcedSums {
  readonly kl: Float64Array;
  readonly agreement: Float64Array;
  /** Positions compared. */
  readonly positions: Float64Array;
  readonly crossEntropy: Float64Array;
  /** Those of them that have a next token. */
  readonly predictions: Float64Array;

  constructor(texts: number) {
    this.kl = new Float64Array(texts);
    this.agreement = new Float64Array(texts);
    this.positions = new Float64Array(texts);
    this.crossEntropy = new Float64Array(texts);
    this.predictions = new Float64Array(texts);
  }

  /** One position of a text. */
  add(text: number, { kl, agrees, rise }: Comparison): void {
    increase(this.kl, text, kl);
    increase(this.agreement, text, agrees ? 1 : 0);
    increase(this.positions, text, 1);
    if (rise === undefined) return;
    increase(this.crossEntropy, text, rise);
    increase(this.predictions, text, 1);
  }
}

/** B's own next-token distribution against that over replaced activations. */
interface Comparison {
  /** Nats. */
  readonly kl: number;
  /** The likeliest token is the same. */
  readonly agrees: boolean;
  /** Of the cross entropy of the text's own next token; undefined where it has none. */
  readonly rise: number | undefined;
}

/** One text of a batch: its index in the sums, its tokens, and every map's rows [T,d] (row 0 unused). */
export interface ForcedText {
  readonly index: number;
  readonly ids: readonly number[];
  /** Where distributions are compared; all but 0 are replaced. */
  readonly compared: readonly number[];
  readonly mapped: Readonly<Record<string, Float32Array>>;
}

/** Logits computed for each map over a group of texts, at most: 2,730 positions of a vocabulary of 49,152, 512 of one of 262,144. */
const MOST_LOGITS = 2 ** 27;

/**
 * Positions 1…length−1 at which one of `texts` texts is compared: all of them, or where the vocabulary makes that more than {@link MOST_LOGITS},
 * as many as fit (at least eight), evenly spread over the text.
 */
export function comparedPositions(
  length: number,
  of: { readonly texts: number; readonly vocab: number },
): number[] {
  const most = Math.max(8, Math.floor(MOST_LOGITS / (of.texts * of.vocab)));
  const count = Math.min(length - 1, most);
  return Array.from({ length: count }, (_, i) => 1 + Math.floor(((i + 0.5) * (length - 1)) / count));
}

/**
 * Add a batch: KL(p_B(·|y_≤i) ‖ p_B(·|ŷ_≤i)) in nats, whether the likeliest token agrees, and the rise of the cross entropy of the text's
 * own next token. Position 0 is never replaced and not counted.
 */
export async function addForced(
  { decoder, block }: { readonly decoder: Decoder; readonly block: number },
  texts: readonly ForcedText[],
  sums: Readonly<Record<string, ForcedSums>>,
  signal?: AbortSignal,
): Promise<void> {
  const abort = { signal };
  const base = await decoder.run(decoder.embed(texts.map((t) => t.ids)), { to: block + 1, ...abort });
  const own = await decoder.run(base, { from: block + 1, ...abort });
  const columns = base.tensor.shape[1];
  const places = texts.flatMap((text, b) => text.compared.map((t) => ({ text, at: b * columns + t, t })));
  const patched: Record<string, Residual> = {};
  for (const name of Object.keys(sums))
    patched[name] = await decoder.run(
      replaceRows(
        base,
        texts.map((t) => t.mapped[name]),
      ),
      { from: block + 1, ...abort },
    );
  // A group at a time: its own distributions are held while every map is compared with them.
  const vocab = decoder.config.vocabSize;
  const group = Math.max(1, Math.floor(2 ** 22 / vocab));
  for (let from = 0; from < places.length; from += group) {
    const members = places.slice(from, from + group);
    const rows = members.map((m) => m.at);
    const truth: Distribution[] = [];
    for await (const logits of logitRows(decoder, own.tensor.data, rows)) truth.push(distribution(logits));
    for (const [name, into] of Object.entries(sums)) {
      let i = 0;
      for await (const logits of logitRows(decoder, patched[name].tensor.data, rows)) {
        const { text, t } = members[i];
        into.add(text.index, compare(truth[i++], logits, text.ids[t + 1]));
      }
    }
  }
}

interface Distribution {
  /** ln p */
  readonly logs: Float32Array;
  readonly probabilities: Float32Array;
  /** Σ p ln p */
  readonly negentropy: number;
  readonly best: number;
}

function distribution(logits: Float32Array): Distribution {
  const best = argmax(logits);
  const normaliser = logSumExp(logits, logits[best]);
  const logs = new Float32Array(logits.length);
  for (let v = 0; v < logs.length; v++) logs[v] = logits[v] - normaliser;
  const probabilities = exponentials(logs);
  let negentropy = 0;
  for (let v = 0; v < logs.length; v++) negentropy += probabilities[v] * logs[v];
  return { logs, probabilities, negentropy, best };
}

function compare(truth: Distribution, logits: Float32Array, next: number | undefined): Comparison {
  const best = argmax(logits);
  const normaliser = logSumExp(logits, logits[best]);
  let cross = 0;
  let mass = 0;
  for (let v = 0; v < logits.length; v++) {
    const p = truth.probabilities[v];
    cross += p * logits[v];
    mass += p;
  }
  return {
    // Σ p (ln p − ln q), ln q = logit − normaliser; rounding may leave it a hair below 0.
    kl: Math.max(0, truth.negentropy - cross + mass * normaliser),
    agrees: best === truth.best,
    rise: next === undefined ? undefined : truth.logs[next] - (logits[next] - normaliser),
  };
}

function argmax(row: Float32Array): number {
  let best = 0;
  for (let v = 1; v < row.length; v++) if (row[v] > row[best]) best = v;
  return best;
}
