/** @file Proof of effect with its consequence: KL between the steered and the unsteered next token. */
import type { InterventionDocument, InterventionEffect } from '../contracts/index.ts';
import { type FwdHook, HookTable, type LanguageModel, logSumExp, nextLogits } from '../models/index.ts';
import { type ApplyOptions, applyIntervention } from './apply.ts';
import type { PromptInput } from './select.ts';

/**
 * Run the prompts with and without the document and say what it did: effects[row][edit] with `kl_div` = KL(steered ‖ unsteered) of
 * the token after the prompt, nats (of the whole document, so the same for all its edits). Edits of generated tokens alone leave
 * the first one as it is: for them give the effects of a generation ({@link applyIntervention}). Throws where nothing changed.
 */
export async function measureEffect(
  model: LanguageModel,
  document: InterventionDocument,
  prompts: readonly PromptInput[],
  options: ApplyOptions & { readonly batch?: number } = {},
): Promise<InterventionEffect[][]> {
  const applied = await applyIntervention(model, document, prompts, options);
  const { batch = 16 } = options;
  const divergences: number[] = [];
  for (let at = 0; at < applied.ids.length; at += batch) {
    const ids = applied.ids.slice(at, at + batch);
    const names = ids.map((_, b) => at + b);
    const [plain, steered] = [
      await next(model, ids, names, []),
      await next(model, ids, names, applied.fwdHooks),
    ];
    const v = model.config.vocabSize;
    ids.forEach((_, b) => {
      divergences.push(
        klDivergence(steered.subarray(b * v, (b + 1) * v), plain.subarray(b * v, (b + 1) * v)),
      );
    });
  }
  return applied.proof().map((effects, row) => effects.map((e) => ({ ...e, kl_div: divergences[row] })));
}

async function next(
  model: LanguageModel,
  ids: readonly (readonly number[])[],
  rows: readonly number[],
  fwdHooks: readonly FwdHook[],
): Promise<Float32Array> {
  const hooks = new HookTable(fwdHooks, model.nLayers);
  const shared = { hooks, rows, phase: 'prompt' as const };
  const residual = await model.decoder.run(model.decoder.embed(ids, shared), shared);
  return (await nextLogits(model.decoder, residual, shared)).data;
}

/**
 * KL of the token after the prompt, nats, of every row to row 0: the same prompt `ids` in each row, changed by `fwdHooks` (which know the
 * rows by their number). Result [rows]; 0 for row 0.
 */
export async function divergencesFromFirst(
  model: LanguageModel,
  ids: readonly number[],
  { rows, fwdHooks }: { readonly rows: number; readonly fwdHooks: readonly FwdHook[] },
): Promise<number[]> {
  const names = Array.from({ length: rows }, (_, i) => i);
  const data = await next(
    model,
    names.map(() => ids),
    names,
    fwdHooks,
  );
  const v = model.config.vocabSize;
  return names.map((i) =>
    i === 0 ? 0 : klDivergence(data.subarray(i * v, (i + 1) * v), data.subarray(0, v)),
  );
}

/** KL(p ‖ q) = Σ p (ln p − ln q) of two rows of logits [V], nats, in float64; never below 0. */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const zp = logSumExp(p);
  const zq = logSumExp(q);
  let kl = 0;
  for (let i = 0; i < p.length; i++) {
    const lp = p[i] - zp;
    kl += Math.exp(lp) * (lp - (q[i] - zq));
  }
  return Math.max(0, kl);
}
