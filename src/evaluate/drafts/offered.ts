/**
 * @file Unpatched completions from drafts of another engine: each is read in one pass, and is ours where the greedy choice equals it at
 * every step, its end included. Where it parts, decoding goes on from there. The result is what ordinary generation would give.
 */
import { throwIfAborted } from '../../base/index.ts';
import { type Decoder, KvCache } from '../../models/index.ts';
import { decodeOn, decodePatched, type EndRules, extend, type GappedDraft, type Live } from './decode.ts';
import { NEAR_TIE } from './patched.ts';
import { choicesAlong, type Draft, verify } from './verify.ts';

/** A prompt and what another engine made of it. */
export interface Offered {
  readonly prompt: readonly number[];
  readonly draft: Draft;
}

/** Rows of like length share a batch of at most `batch` (defaults to 64). */
type OfferedRules = EndRules & { readonly batch?: number | undefined };

/** Our own greedy completions, in the order of `rows`. */
export async function completeOffered(
  decoder: Decoder,
  rows: readonly Offered[],
  rules: OfferedRules,
): Promise<GappedDraft[]> {
  const out: GappedDraft[] = [];
  for (const members of batchesOf(rows, rules.batch)) {
    throwIfAborted(rules.signal, 'verifying completions');
    const part = members.map((i) => rows[i]);
    const prompts = part.map(({ prompt }) => prompt);
    const longest = Math.max(...prompts.map((p) => p.length));
    const cache = new KvCache(decoder.config, part.length, longest + rules.maxNewTokens);
    const { tensor } = await decoder.run(decoder.embed(prompts), { cache, signal: rules.signal });
    const first = await verify(
      decoder,
      tensor,
      prompts.map((p) => ({ column: p.length - 1, expected: [], steps: 1 })),
    );
    const lives = first.map(({ next, gap }, b): Live => {
      const live: Live = { ids: [], gap, finish: undefined, known: [part[b].draft], trail: [] };
      extend(live, next, rules);
      return live;
    });
    const open = lives.flatMap(({ finish }, b) => (finish === undefined ? [b] : []));
    if (open.length > 0) {
      if (open.length < lives.length) cache.keep(open);
      await decodeOn(
        decoder,
        cache,
        open.map((b) => lives[b]),
        { ...rules, watched: decoder.nLayers - 1 },
      );
    }
    cache.release();
    const ties = lives.flatMap(({ gap }, b) => (gap < NEAR_TIE ? [b] : []));
    const again = await decodePatched(
      decoder,
      ties.map((b) => prompts[b]),
      [],
      rules,
    );
    for (const [b, { ids, finish, gap }] of lives.entries()) {
      const tie = ties.indexOf(b);
      out[members[b]] = tie < 0 ? { ids, finish: finish!, gap } : again[tie];
    }
  }
  return out;
}

/** How far completions of another engine are our own greedy choices, each token given those before it. */
export interface Agreement {
  readonly completions: number;
  /** Of them, all tokens and the end are our own. */
  readonly equal: number;
  /** Tokens of completions, the end counted as one where the model chose it. */
  readonly tokens: number;
  readonly agreed: number;
}

/** Read completions of another engine, a pass each; nothing is decoded. */
export async function agreementWith(
  decoder: Decoder,
  rows: readonly Offered[],
  rules: OfferedRules,
): Promise<Agreement> {
  const sum = { completions: rows.length, equal: 0, tokens: 0, agreed: 0 };
  for (const members of batchesOf(rows, rules.batch)) {
    throwIfAborted(rules.signal, 'comparing completions');
    const part = members.map((i) => rows[i]);
    const embedded = decoder.embed(part.map(({ prompt, draft }) => [...prompt, ...draft.ids]));
    const { tensor } = await decoder.run(embedded, { signal: rules.signal });
    const columns = tensor.shape[1];
    for (const [b, { prompt, draft }] of part.entries()) {
      const steps = draft.ids.length + (draft.finish === 'stop' ? 1 : 0);
      const at = Array.from({ length: steps }, (_, k) => b * columns + prompt.length - 1 + k);
      const chosen = await choicesAlong(decoder, tensor.data, at);
      const agreed = chosen.filter((id, k) =>
        k < draft.ids.length ? id === draft.ids[k] : rules.stopTokens.includes(id),
      ).length;
      sum.tokens += steps;
      sum.agreed += agreed;
      if (agreed === steps) sum.equal++;
    }
  }
  return sum;
}

/** Indices of rows of like length, at most `batch` together. */
function batchesOf(rows: readonly Offered[], batch = 64): number[][] {
  const length = (i: number): number => rows[i].prompt.length + rows[i].draft.ids.length;
  const order = rows.map((_, i) => i).sort((a, b) => length(a) - length(b) || a - b);
  const out: number[][] = [];
  for (let at = 0; at < order.length; at += batch) out.push(order.slice(at, at + batch));
  return out;
}
