/** @file Both models at the tag, after every block: contrast differences for CKA, and the source's safe spans, to be mapped and patched in. */
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { sourceRow } from '../arms/spans.ts';
import { alignRows, type ContrastCase } from '../subject/cases.ts';
import { type Blocks, joined } from './rows.ts';

/** Per block, in the order asked for. */
export interface TagSpans {
  /** [cases, D]: the last token of the span, safe minus bad. */
  readonly differences: readonly Float32Array[];
  /** Per case [span of its bad run, D]: the safe run's activations laid on it. */
  readonly safe: readonly (readonly Float32Array[])[];
}

/** What one model has at the tags of `cases`, whose tokens are the target's. */
async function tagSpans(
  model: LanguageModel,
  blocks: readonly number[],
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<TagSpans> {
  const width = model.config.dModel;
  const read = (state: 'bad' | 'safe'): Promise<Float32Array[][]> =>
    captureResiduals(
      model.decoder,
      cases.map((c) => sourceRow(model, c.states[state], c.states[state].positions)),
      blocks,
      { signal },
    );
  const [bad, safe] = [await read('bad'), await read('safe')];
  return {
    differences: blocks.map((_, k) =>
      joined(
        cases.map((_, i) => {
          const [b, s] = [bad[i][k].slice(-width), safe[i][k].slice(-width)];
          return s.map((v, j) => v - b[j]);
        }),
      ),
    ),
    safe: blocks.map((_, k) =>
      cases.map((c, i) => alignRows(safe[i][k], c.states.bad.positions.length, width)),
    ),
  };
}

/** Of both models. */
export async function bothTagSpans(
  models: { readonly source: LanguageModel; readonly target: LanguageModel },
  blocks: Blocks,
  cases: readonly ContrastCase[],
  signal?: AbortSignal,
): Promise<{ readonly source: TagSpans; readonly target: TagSpans }> {
  return {
    source: await tagSpans(models.source, blocks.source, cases, signal),
    target: await tagSpans(models.target, blocks.target, cases, signal),
  };
}
