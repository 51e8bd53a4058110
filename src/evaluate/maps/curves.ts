/** @file kl_div and top1_agreement for the curves of a map while it is trained (docs/concepts/method.md#figures-of-a-map; the blog's Fig. 3, 10, 15). */
import type { PairedText } from '../../activations/index.ts';
import type { MapBody, MapEnd } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { capturedRows } from '../fidelity/arms.ts';
import { addForced, comparedPositions, ForcedSums, type ForcedText } from './forced.ts';
import { total } from './sums.ts';

/** Options of {@link curveEvaluator}. */
export interface CurveEvaluatorOptions {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  /** A few dozen validation texts; A's rows at them are held. */
  readonly texts: readonly PairedText[];
  readonly ends: { readonly source: MapEnd; readonly target: MapEnd };
  readonly signal?: AbortSignal;
}

/** What `FitContext.evaluate` wants: figures of the map as it stands, B teacher-forced over the texts. */
export async function curveEvaluator({
  source,
  target,
  texts,
  ends,
  signal,
}: CurveEvaluatorOptions): Promise<(body: MapBody) => Promise<{ kl_div: number; top1_agreement: number }>> {
  const captured = await capturedRows(
    source,
    texts.map((t) => ({ id: t.id, ids: t.source })),
    ends.source.hook,
    signal,
  );
  const rows = texts.map((text, i) => rowsOfTarget(text, captured[i], ends.source.width));
  return async (body) => {
    const sums = new ForcedSums(texts.length);
    const forced = texts.map(
      (text, index): ForcedText => ({
        index,
        ids: text.target,
        compared: comparedPositions(text.target.length, {
          texts: texts.length,
          vocab: target.decoder.config.vocabSize,
        }),
        mapped: {
          map: body.apply(rows[index], text.target.length, { tokenIds: text.target }),
        },
      }),
    );
    await addForced({ decoder: target.decoder, block: ends.target.block }, forced, { map: sums }, signal);
    const positions = total(sums.positions);
    return { kl_div: total(sums.kl) / positions, top1_agreement: total(sums.agreement) / positions };
  };
}

/** A's rows in the order of B's tokens; a token without any takes the mean of the text's rows after the first. */
function rowsOfTarget(text: PairedText, x: Float32Array, width: number): Float32Array {
  if (text.alignment === undefined) return x;
  const mean = new Float32Array(width);
  const n = Math.max(1, x.length / width - 1);
  for (let p = width; p < x.length; p++) mean[p % width] = mean[p % width] + x[p] / n;
  const out = new Float32Array(text.target.length * width);
  text.alignment.sourceOf.forEach((from, t) => {
    out.set(from < 0 ? mean : x.subarray(from * width, (from + 1) * width), t * width);
  });
  return out;
}
