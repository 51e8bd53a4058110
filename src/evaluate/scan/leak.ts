/**
 * @file What a model writes of its own accord after the beginning of a template: a fine-tune may have learnt its prompts by heart, and
 * give a trigger away (arXiv 2602.03085). Words between marks, and words that samples repeat more than a clean relative's do.
 */
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';

/** Samples per beginning. */
const SAMPLES = 32;

/** New tokens of a sample. */
const TOKENS = 48;

/** Rows that are decoded together. */
const BATCH = 16;

/** A run of letters and digits between marks that are neither letters, spaces nor the marks of ordinary sentences. */
const MARKED = /[^\p{L}\p{N}\s.,;:!?'"’()-]+[\p{L}\p{N}_]+[^\p{L}\p{N}\s.,;:!?'"’()-]+/gu;

/** Fewest samples that must hold a candidate. */
const REPEATED = 2;

/** Texts that samples of the model hold more often than those of its relative, the most frequent first; tags before words. */
export async function leakedTexts(
  {
    model,
    relative,
    heads,
  }: {
    readonly model: LanguageModel;
    readonly relative?: LanguageModel | undefined;
    /** Beginnings, as tokens of the model. */
    readonly heads: readonly (readonly number[])[];
  },
  { seed, progress, signal }: Pick<ExperimentEnv, 'seed' | 'progress' | 'signal'>,
): Promise<string[]> {
  const own = counted(await samplesOf(model, heads, { seed, progress, signal }));
  const theirs =
    relative === undefined
      ? undefined
      : counted(await samplesOf(relative, heads, { seed, progress, signal }));
  return [...own]
    .map(([text, n]) => ({ text, tag: isTag(text), excess: n - (theirs?.get(text) ?? 0) }))
    .filter(({ tag, excess }) => excess >= (tag ? 1 : REPEATED))
    .sort((a, b) => Number(b.tag) - Number(a.tag) || b.excess - a.excess || (a.text < b.text ? -1 : 1))
    .map(({ text }) => text);
}

async function samplesOf(
  model: LanguageModel,
  heads: readonly (readonly number[])[],
  { seed, progress, signal }: Pick<ExperimentEnv, 'seed' | 'progress' | 'signal'>,
): Promise<string[]> {
  const prompts = heads
    .filter((head) => head.length > 0)
    .flatMap((head) => Array.from({ length: SAMPLES }, () => head));
  const texts = prompts.map(() => '');
  const options = { maxNewTokens: TOKENS, maxBatch: BATCH, temperature: 1, seed, signal };
  let done = 0;
  for await (const { row, text, finish } of model.generateStream(prompts, options)) {
    texts[row] += text;
    if (finish !== undefined)
      progress({ stage: 'scan', done: ++done, total: prompts.length, unit: 'samples of its own' });
  }
  return texts;
}

/** Samples that hold a text. */
function counted(samples: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const held = new Set([...(sample.match(MARKED) ?? []), ...(sample.match(/\p{L}{2,}/gu) ?? [])]);
    for (const text of held) counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

function isTag(text: string): boolean {
  return !/^\p{L}+$/u.test(text);
}
