/**
 * @file Every candidate in one prompt, the best of them in a few more, the next token looked at: how far its distribution moves from the
 * plain prompt's (KL), and whether it becomes the same sure token whatever the prompt asks (collapse). One short forward pass per candidate
 * and prompt.
 */
import { throwIfAborted } from '../../base/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { logSumExp } from '../../models/index.ts';
import { logitRows } from '../drafts/verify.ts';
import type { ExperimentEnv } from '../env.ts';
import { divergence, type Rendered } from '../suspect/change.ts';
import { SharedPrefixes } from '../suspect/prefixes.ts';

/** What the next token says of a candidate. */
export interface SweepScore {
  readonly text: string;
  /** Mean over prompts of KL(with it ‖ without it), nats. */
  readonly kl: number;
  /** Mean probability of the token that most prompts agree on, less what it has in the plain prompts. */
  readonly collapse: number;
}

/** Candidates per forward pass. */
const BATCH = 64;

/** What is swept. */
export interface Sweep {
  readonly prompts: number;
  readonly rendered: Rendered;
  readonly texts: readonly string[];
  /** Texts that go on from the first prompt to the others: as many by KL, and as many by collapse. */
  readonly kept: number;
}

/** Score every text in the first prompt, the best in all; the scores of those, in the order of `texts`. */
export async function sweepTexts(
  model: LanguageModel,
  { prompts, rendered, texts, kept }: Sweep,
  env: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<SweepScore[]> {
  const first = await sweepAll(model, { prompts: [0], rendered, texts }, env);
  if (prompts === 1) return first;
  const best = new Set(
    [(score: SweepScore) => score.kl, (score: SweepScore) => score.collapse].flatMap((of) =>
      [...first]
        .sort((a, b) => of(b) - of(a))
        .slice(0, kept)
        .map(({ text }) => text),
    ),
  );
  const all = Array.from({ length: prompts }, (_, i) => i);
  return sweepAll(model, { prompts: all, rendered, texts: texts.filter((text) => best.has(text)) }, env);
}

async function sweepAll(
  model: LanguageModel,
  {
    prompts,
    rendered,
    texts,
  }: { readonly prompts: readonly number[]; readonly rendered: Rendered; readonly texts: readonly string[] },
  env: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<SweepScore[]> {
  const kl = new Float64Array(texts.length);
  const tops = texts.map(() => new Map<number, number>());
  const plain: Float32Array[] = [];
  let done = 0;
  for (const i of prompts) {
    const ids = rendered(i, undefined);
    const prefixes = await SharedPrefixes.of(model, [ids], { batch: 1, signal: env.signal });
    const own = await nextLogits(model, [ids], prefixes);
    const normaliser = logSumExp(own[0]);
    const logQ = own[0].map((l) => l - normaliser);
    plain.push(logQ);
    const tokens = texts.map((text) => rendered(i, text));
    const order = texts.map((_, k) => k).sort((a, b) => tokens[a].length - tokens[b].length || a - b);
    for (let at = 0; at < order.length; at += BATCH) {
      throwIfAborted(env.signal, 'scan');
      const part = order.slice(at, at + BATCH);
      let row = 0;
      for await (const logits of rowsOf(
        model,
        part.map((k) => tokens[k]),
        prefixes,
      )) {
        const k = part[row++];
        kl[k] += divergence(logits, logQ) / prompts.length;
        const top = largest(logits);
        const share = Math.exp(logits[top] - logSumExp(logits)) / prompts.length;
        tops[k].set(top, (tops[k].get(top) ?? 0) + share);
      }
      done += part.length;
      env.progress({ stage: 'scan', done, total: prompts.length * texts.length, unit: 'words in prompts' });
    }
  }
  return texts.map((text, k) => {
    const [token, share] = [...tops[k]].reduce((a, b) => (b[1] > a[1] ? b : a));
    const usual = plain.reduce((sum, logQ) => sum + Math.exp(logQ[token]), 0) / plain.length;
    return { text, kl: kl[k], collapse: share - usual };
  });
}

/** Logits [V] after the last token of each prompt; all go on from the one prompt that `prefixes` holds. A view: copy what is kept. */
async function* rowsOf(
  { decoder }: LanguageModel,
  prompts: readonly (readonly number[])[],
  prefixes: SharedPrefixes | undefined,
): AsyncGenerator<Float32Array, void, undefined> {
  const continued = prefixes?.continue(
    prompts.map(() => 0),
    prompts,
  );
  const { cache, held = prompts.map(() => 0) } = continued ?? {};
  const tails = prompts.map((ids, b) => ids.slice(held[b]));
  const { tensor } = await decoder.run(decoder.embed(tails, { cache }), { cache });
  cache?.release();
  const columns = tensor.shape[1];
  yield* logitRows(
    decoder,
    tensor.data,
    tails.map((ids, b) => b * columns + ids.length - 1),
  );
}

async function nextLogits(...of: Parameters<typeof rowsOf>): Promise<Float32Array[]> {
  const out: Float32Array[] = [];
  for await (const logits of rowsOf(...of)) out.push(logits.slice());
  return out;
}

function largest(values: Float32Array): number {
  let at = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[at]) at = i;
  return at;
}
