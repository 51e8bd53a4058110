/**
 * @file What stands in for B's own activations in a fidelity run, and B generating over it (docs/concepts/method.md#fidelity). T prompt tokens of B, d its
 * width; a replacement is [T,d], row 0 (never replaced) unused.
 */
import { type CapturedText, captureActivations, type PairedText } from '../../activations/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import {
  type Completion,
  type FwdHook,
  type GenerateOptions,
  hookName,
  type LanguageModel,
} from '../../models/index.ts';
import { unpaired } from '../maps/figures.ts';

/** A's rows taken through the map, at every token of B: an unpaired one takes the last token of A before it, never B's own. */
export function mappedReplacement(map: ActivationMap, text: PairedText, x: Float32Array): Float32Array {
  const { width } = map.source;
  const ids = text.target;
  if (text.alignment === undefined) return map.apply(x, ids.length, { tokenIds: ids });
  const { sourceOf } = text.alignment;
  const rows = new Float32Array(ids.length * width);
  ids.forEach((_, t) => {
    const from = sourceOf[t];
    if (from >= 0) rows.set(x.subarray(from * width, (from + 1) * width), t * width);
  });
  const out = map.apply(rows, ids.length, { tokenIds: ids });
  const d = map.target.width;
  if (sourceOf.includes(-1)) {
    const none = unpaired(map, ids);
    sourceOf.forEach((from, t) => {
      if (from < 0) out.set(none.subarray(t * d, (t + 1) * d), t * d);
    });
  }
  return out;
}

/**
 * The mean of the prompt's own activations but the first, everywhere: the blog's baseline without the straw of the first token's norm.
 * The prompt is the first `tokens` rows; defaults to all.
 */
export function meanReplacement(own: Float32Array, d: number, tokens = own.length / d): Float32Array {
  const mean = new Float64Array(d);
  for (let p = d; p < tokens * d; p++) mean[p % d] = mean[p % d] + own[p];
  return Float32Array.from(own, (_, p) => mean[p % d] / Math.max(1, tokens - 1));
}

/** Activations [T,D] of every text at one hook, all at once. */
export async function capturedRows(
  model: LanguageModel,
  texts: readonly { readonly id: string; readonly ids: readonly number[] }[],
  hook: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  const stream: AsyncIterable<CapturedText> = captureActivations(model.decoder, texts, {
    hooks: [hook],
    signal,
  });
  for await (const { index, hidden } of stream) rows[index] = hidden;
  return rows;
}

/** Prompts with what stands in for their activations: positions 1… of prompt b are set to `replacements[b]` [T,d] after `block`. */
export interface ReplacedPrompts {
  readonly prompts: readonly (readonly number[])[];
  readonly block: number;
  readonly replacements: readonly Float32Array[];
}

/** Complete prompts, greedily unless told otherwise, replaced at prefill. */
export async function completeReplaced(
  model: LanguageModel,
  { prompts, block, replacements }: ReplacedPrompts,
  generation: GenerateOptions,
): Promise<Completion[]> {
  const d = model.config.dModel;
  const hook: FwdHook = [
    hookName({ site: 'resid_post', layer: block }),
    (activation, { phase, rows, counts }) => {
      if (phase !== 'prompt') return;
      const columns = activation.shape[1];
      rows.forEach((row, b) => {
        const values = replacements[row].subarray(d, counts[b] * d);
        activation.data.set(values, (b * columns + 1) * d);
      });
    },
  ];
  return model.generate(prompts, { ...generation, fwdHooks: [...(generation.fwdHooks ?? []), hook] });
}
