/** @file Answers read once more in one pass: the states that predict every token of an answer, and the distance of two models at them. */
import { klDivergence } from '../../interventions/index.ts';
import { type Decoder, type FwdHook, HookTable, type LanguageModel, logSumExp } from '../../models/index.ts';

/** A prompt with an answer after it. */
export interface ForcedText {
  /** Token ids of the prompt. */
  readonly prompt: readonly number[];
  /** Token ids of the answer. */
  readonly answer: readonly number[];
  /** The answer ended by itself, so that its end is predicted too. */
  readonly ended: boolean;
}

/** Predictions of a text: its answer's tokens and, where it ended by itself, the end. */
export function predictions({ answer, ended }: ForcedText): number {
  return answer.length + (ended ? 1 : 0);
}

/**
 * Normalised states [n,D] (no gain: `ln_final.hook_normalized`) that predict the answer of each text, hooks on. `rows`: the texts' numbers in the
 * list the hooks were made for.
 */
export async function predictingStates(
  model: LanguageModel,
  texts: readonly ForcedText[],
  fwdHooks: readonly FwdHook[] = [],
): Promise<Float32Array[]> {
  const { decoder } = model;
  const hooks = new HookTable(fwdHooks, model.nLayers);
  const rows = texts.map((_, i) => i);
  const shared = { hooks, rows, phase: 'prompt' as const };
  const ids = texts.map(({ prompt, answer }) => [...prompt, ...answer]);
  const { tensor, counts } = await decoder.run(decoder.embed(ids, shared), shared);
  const [batch, columns, d] = tensor.shape as [number, number, number];
  const normalized = decoder.normalise({ ...tensor, shape: [batch * columns, d] });
  hooks.fire(
    { site: 'normalized', layer: -1 },
    { ...normalized, shape: [batch, columns, d] },
    { rows, counts, starts: counts.map(() => 0), phase: 'prompt' },
  );
  return texts.map((text, b) => {
    const from = (b * columns + text.prompt.length - 1) * d;
    return normalized.data.slice(from, from + predictions(text) * d);
  });
}

/** Logits held at once, elements. */
const LOGITS = 2 ** 22;

/** ln Σ exp of the logits of each state [n,D]. */
export async function logSums(decoder: Decoder, states: Float32Array): Promise<Float32Array> {
  const sums: number[] = [];
  for await (const row of logitsOf(decoder, states)) sums.push(logSumExp(row));
  return Float32Array.from(sums);
}

/** KL(p ‖ q) in nats at each state: two models at the same predictions. */
export async function divergences(
  p: { readonly decoder: Decoder; readonly states: Float32Array },
  q: { readonly decoder: Decoder; readonly states: Float32Array },
): Promise<number[]> {
  const found: number[] = [];
  const others = logitsOf(q.decoder, q.states);
  for await (const row of logitsOf(p.decoder, p.states)) {
    const own = row.slice();
    const { value } = await others.next();
    found.push(klDivergence(own, value as Float32Array));
  }
  return found;
}

/** Logits [V] of each state, valid until the next is asked for. */
async function* logitsOf(
  decoder: Decoder,
  states: Float32Array,
): AsyncGenerator<Float32Array, void, undefined> {
  const { dModel: d, vocabSize: v } = decoder.config;
  const group = Math.max(1, Math.floor(LOGITS / v));
  const n = states.length / d;
  for (let at = 0; at < n; at += group) {
    const size = Math.min(group, n - at);
    const data = states.slice(at * d, (at + size) * d);
    const logits = await decoder.logits({ dtype: 'f32', shape: [size, d], data });
    for (let i = 0; i < size; i++) yield logits.data.subarray(i * v, (i + 1) * v);
  }
}
