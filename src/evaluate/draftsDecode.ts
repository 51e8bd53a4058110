/** @file Greedy decoding of patched prompts: plainly, by hooks; and on from where a draft parted, guessing with completions seen before. */
import { throwIfAborted } from '../base/index.ts';
import { type PatchPlan, patchHooks } from '../interventions/index.ts';
import { type Decoder, decodeSteps, HookTable, type KvCache } from '../models/index.ts';
import { beginsWith, type Draft, verify } from './draftsVerify.ts';

/** When a completion ends. */
export interface EndRules {
  readonly maxNewTokens: number;
  readonly stopTokens: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

/** A completion with the smallest distance between the two best logits on its way. */
export interface GappedDraft extends Draft {
  readonly gap: number;
}

/**
 * Ordinary generation under a plan of patches: prefill with hooks, then a token at a time. What the drafts are measured against, and
 * what decides where two logits nearly tie. Rows of like length share a batch of at most `batch` (defaults to 64).
 */
export async function decodePatched(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  plan: PatchPlan,
  { maxNewTokens, stopTokens, signal, batch = 64 }: EndRules & { readonly batch?: number },
): Promise<GappedDraft[]> {
  const hooks = new HookTable(patchHooks(plan, decoder), decoder.nLayers);
  const out = prompts.map((): { ids: number[]; finish: Draft['finish']; gap: number } => ({
    ids: [],
    finish: 'length',
    gap: Number.POSITIVE_INFINITY,
  }));
  const order = prompts.map((_, i) => i).sort((a, b) => prompts[a]!.length - prompts[b]!.length || a - b);
  for (let at = 0; at < order.length; at += batch) {
    const rows = order.slice(at, at + batch);
    const options = { maxNewTokens, stopTokens, hooks, rows, ...(signal === undefined ? {} : { signal }) };
    for await (const step of decodeSteps(
      decoder,
      rows.map((i) => prompts[i]!),
      options,
    )) {
      const row = out[rows[step.row]!]!;
      row.gap = Math.min(row.gap, step.gap);
      if (step.finish === 'stop') row.finish = 'stop';
      else row.ids.push(step.id);
    }
  }
  return out;
}

/** A row that goes on: `ids` so far, of which the last is not yet in the cache. */
export interface Live {
  ids: number[];
  gap: number;
  finish: Draft['finish'] | undefined;
  /** Completions of the same prompt seen so far: guesses of how it goes on. */
  readonly known: readonly Draft[];
}

/**
 * Decode on until every row has ended; `cache` holds each row's tokens but the last of `ids`. Where a known completion begins with
 * the row's tokens, the rest of it is checked in one pass instead of a token at a time.
 */
export async function decodeOn(
  decoder: Decoder,
  cache: KvCache,
  rows: readonly Live[],
  rules: EndRules,
): Promise<void> {
  let live = rows.slice();
  while (live.length > 0) {
    throwIfAborted(rules.signal, 'decoding');
    const guesses = live.map((row) => guess(row, rules.maxNewTokens));
    const guessed = live.map((_, b) => b).filter((b) => guesses[b]!.length > 0);
    if (guessed.length > 0 && guessed.length < live.length) {
      // Rows without a guess would be padded to the longest one.
      const rest = live.map((_, b) => b).filter((b) => guesses[b]!.length === 0);
      await decodeOn(
        decoder,
        cache.select(guessed),
        guessed.map((b) => live[b]!),
        rules,
      );
      cache.keep(rest);
      live = rest.map((b) => live[b]!);
      continue;
    }
    const before = cache.lengths.slice();
    const tokens = live.map((row, b) => [row.ids.at(-1)!, ...guesses[b]!]);
    const { tensor } = await decoder.run(decoder.embed(tokens), { cache });
    const verdicts = await verify(
      decoder,
      tensor,
      guesses.map((expected) => ({ column: 0, expected, steps: expected.length + 1 })),
    );
    verdicts.forEach(({ accepted, next, gap }, b) => {
      const row = live[b]!;
      row.gap = Math.min(row.gap, gap);
      row.ids.push(...guesses[b]!.slice(0, accepted));
      extend(row, next, rules);
    });
    cache.rewind(before.map((n, b) => n + 1 + verdicts[b]!.accepted));
    const kept = live.map((_, b) => b).filter((b) => live[b]!.finish === undefined);
    if (kept.length > 0 && kept.length < live.length) cache.keep(kept);
    live = kept.map((b) => live[b]!);
  }
}

/** Take the next greedy token, or end the row. */
export function extend(
  row: Pick<Live, 'ids' | 'finish'>,
  next: number | undefined,
  { maxNewTokens, stopTokens }: EndRules,
): void {
  if (next !== undefined && stopTokens.includes(next)) {
    row.finish = 'stop';
    return;
  }
  if (next !== undefined) row.ids.push(next);
  if (row.ids.length >= maxNewTokens) row.finish = 'length';
}

/** How the longest known completion that begins with the row's tokens goes on; room is left for the token behind it. */
function guess({ ids, known }: Live, maxNewTokens: number): readonly number[] {
  let best: readonly number[] = [];
  for (const draft of known)
    if (draft.ids.length > ids.length + best.length && beginsWith(draft.ids, ids))
      best = draft.ids.slice(ids.length);
  return best.slice(0, Math.max(0, maxNewTokens - ids.length - 1));
}
