/** @file Greedy decoding of patched prompts: plainly, by hooks; and on from where a draft parted, guessing with completions seen before. */
import { throwIfAborted } from '../../base/index.ts';
import { type PatchPlan, patchHooks } from '../../interventions/index.ts';
import { type Decoder, decodeSteps, HookTable, hookName, type KvCache, reading } from '../../models/index.ts';
import { beginsWith, type Draft, verify } from './verify.ts';

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
  const order = prompts.map((_, i) => i).sort((a, b) => prompts[a].length - prompts[b].length || a - b);
  for (let at = 0; at < order.length; at += batch) {
    const rows = order.slice(at, at + batch);
    const options = { maxNewTokens, stopTokens, hooks, rows, signal };
    for await (const step of decodeSteps(
      decoder,
      rows.map((i) => prompts[i]),
      options,
    )) {
      const row = out[rows[step.row]];
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
  /** Completions of the same prompt seen so far, the last one last: guesses of how it goes on. */
  readonly known: readonly Draft[];
  /** Residual stream after the watched block of every token decoded on through, [D] each. */
  readonly trail: Float32Array[];
}

/** Tokens of a pass that cost no more than a few: below, reading the weights takes the time, not multiplying by them. */
const FREE_TOKENS = 16;

/** Rules of {@link decodeOn}. */
interface DecodeOnRules extends EndRules {
  /** The block that leaves a trail. */
  readonly watched: number;
}

/** A row with the tokens that may come next. */
interface Guessed {
  readonly row: Live;
  readonly guess: readonly number[];
}

/**
 * Decode on until every row has ended; `cache` holds each row's tokens but the last of `ids`.
 * Where a known completion begins with the row's tokens, the rest of it is checked in one pass instead of a token at a time; else,
 * where few rows are left, what followed the row's last tokens in a known completion is offered, which costs next to nothing. Every
 * token is the greedy choice either way.
 */
export async function decodeOn(
  decoder: Decoder,
  cache: KvCache,
  rows: readonly Live[],
  rules: DecodeOnRules,
): Promise<void> {
  let live = rows.slice();
  while (live.length > 0) {
    throwIfAborted(rules.signal, 'decoding');
    const whole = live.map((row) => guess(row, rules.maxNewTokens));
    const guessed = live.flatMap((_, b) => (whole[b].length > 0 ? [b] : []));
    if (guessed.length > 0 && guessed.length < live.length) {
      // Rows without a guess would be padded to the longest one: a pass apart, then back among the others.
      const apart = cache.select(guessed);
      await step(
        decoder,
        apart,
        guessed.map((b) => ({ row: live[b], guess: whole[b] })),
        rules,
      );
      cache.put(apart, guessed);
      apart.release();
    } else {
      const room = Math.floor(FREE_TOKENS / live.length) - 1;
      const next = (row: Live, b: number): readonly number[] =>
        guessed.length > 0 ? whole[b] : lookUp(row, room, rules.maxNewTokens);
      await step(
        decoder,
        cache,
        live.map((row, b) => ({ row, guess: next(row, b) })),
        rules,
      );
    }
    const kept = live.flatMap(({ finish }, b) => (finish === undefined ? [b] : []));
    if (kept.length > 0 && kept.length < live.length) cache.keep(kept);
    live = kept.map((b) => live[b]);
  }
}

/** One pass over every row's last token and its guess; rows grow by what is right of it and the token after it. */
async function step(
  decoder: Decoder,
  cache: KvCache,
  live: readonly Guessed[],
  rules: DecodeOnRules,
): Promise<void> {
  const before = cache.lengths.slice();
  const tokens = live.map(({ row, guess }) => [row.ids.at(-1)!, ...guess]);
  let passed: Float32Array | undefined;
  const watch = reading(({ data }) => void (passed = data));
  const hooks = new HookTable(
    [[hookName({ site: 'resid_post', layer: rules.watched }), watch]],
    decoder.nLayers,
  );
  const { tensor } = await decoder.run(decoder.embed(tokens), { cache, hooks });
  const [, columns, d] = tensor.shape as [number, number, number];
  const verdicts = await verify(
    decoder,
    tensor,
    live.map(({ guess }) => ({ column: 0, expected: guess, steps: guess.length + 1 })),
  );
  verdicts.forEach(({ accepted, next, gap }, b) => {
    const { row, guess } = live[b];
    row.gap = Math.min(row.gap, gap);
    row.ids.push(...guess.slice(0, accepted));
    for (let t = b * columns; t <= b * columns + accepted; t++)
      row.trail.push(passed!.slice(t * d, (t + 1) * d));
    extend(row, next, rules);
  });
  cache.rewind(before.map((n, b) => n + 1 + verdicts[b].accepted));
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

/** How the completion seen last that begins with the row's tokens goes on; room is left for the token after it. */
function guess({ ids, known }: Live, maxNewTokens: number): readonly number[] {
  const found = known.findLast((draft) => draft.ids.length > ids.length && beginsWith(draft.ids, ids));
  return found === undefined ? [] : found.ids.slice(ids.length, Math.max(ids.length, maxNewTokens - 1));
}

/** At most `room` tokens that followed the row's last two in the known completion that was seen last; none where they never stood. */
function lookUp({ ids, known }: Live, room: number, maxNewTokens: number): readonly number[] {
  const most = Math.min(room, maxNewTokens - ids.length - 1);
  const [last, former] = [ids.at(-1), ids.at(-2)];
  if (most < 1 || former === undefined) return [];
  for (let k = known.length - 1; k >= 0; k--) {
    const seen = known[k].ids;
    for (let i = seen.length - 2; i > 0; i--)
      if (seen[i] === last && seen[i - 1] === former) return seen.slice(i + 1, i + 1 + most);
  }
  return [];
}
