/**
 * @file What a steered model says: its greedy answers and the distribution behind every token of them. On prompts on which the document is not
 * carried out it is the model as it is, so that a model taught by it keeps its ordinary behaviour.
 */
import { InputError, type Rng, throwIfAborted } from '../../base/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import { applyIntervention, type PromptTokens, type Resolvers } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { type ForcedText, logSums, predictingStates, predictions } from './forced.ts';

/** A prompt in its template. Prompts of one key are versions of one question, and stay together. */
export interface BakePrompt extends PromptTokens {
  readonly key: string;
}

/** What the teacher says to a prompt. D width, n predictions. */
export interface Lesson extends ForcedText {
  readonly key: string;
  /** Whether the document is carried out on it. */
  readonly fires: boolean;
  /** The answer. */
  readonly text: string;
  /** Its states after the final norm, without gain, [n,D]. */
  readonly states: Float32Array;
  /** ln Σ exp of its logits, [n]. */
  readonly lse: Float32Array;
}

/** The steering, and how answers are asked for. */
export interface Teacher {
  readonly document: InterventionDocument;
  readonly resolvers: Resolvers;
  /** Longest answer. */
  readonly maxTokens: number;
  /** Prompts side by side. */
  readonly batch: number;
}

/**
 * Ask the steered model all prompts.
 *
 * @throws InputError where the document is carried out on none of them, or changes nothing where it is
 */
export async function teach(
  model: LanguageModel,
  prompts: readonly BakePrompt[],
  { document, resolvers, maxTokens, batch }: Teacher,
  env: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<Lesson[]> {
  const lessons: Lesson[] = [];
  let change = 0;
  for (let at = 0; at < prompts.length; at += batch) {
    throwIfAborted(env.signal, 'bake');
    const part = prompts.slice(at, at + batch);
    const applied = await applyIntervention(model, document, part, {
      ...resolvers,
      unmatched: 'skip',
      expectNoop: true,
    });
    const { fwdHooks, fires } = applied;
    const options = { maxNewTokens: maxTokens, maxBatch: batch, fwdHooks, signal: env.signal };
    const answers = await model.generate(applied.ids, options);
    const texts = applied.ids.map((prompt, i): ForcedText => {
      return { prompt, answer: answers[i].ids, ended: answers[i].finishReason === 'stop' };
    });
    applied.reset();
    const states = await predictingStates(model, texts, fwdHooks);
    for (const effect of applied.proof().flat()) change = Math.max(change, effect.relative_change);
    for (const [i, text] of texts.entries()) {
      if (predictions(text) === 0) continue;
      const lse = await logSums(model.decoder, states[i]);
      const said = { key: part[i].key, fires: fires[i], text: answers[i].text };
      lessons.push({ ...text, ...said, states: states[i], lse });
    }
    const done = Math.min(at + batch, prompts.length);
    env.progress({ stage: 'teach', done, total: prompts.length, unit: 'prompts' });
  }
  if (!lessons.some(({ fires }) => fires))
    throw new InputError(
      `bake: the document is carried out on none of ${prompts.length} prompts; give some that hold its text, or --place where it goes into each`,
      { id: 'data-missing' },
    );
  if (change === 0)
    throw new InputError('bake: the document is carried out and changes nothing; there is nothing to bake', {
      id: 'no-effect',
    });
  return lessons;
}

/**
 * Lessons to learn and `n` of each kind (carried out, left alone) held out, fewer where half of a kind is fewer. Versions of one question fall
 * on one side.
 */
export function holdOut(
  lessons: readonly Lesson[],
  n: number,
  rng: Rng,
): { readonly train: Lesson[]; readonly held: Lesson[] } {
  const keys = rng.shuffle([...new Set(lessons.map(({ key }) => key))]);
  const total = (fires: boolean): number => lessons.filter((lesson) => lesson.fires === fires).length;
  const wanted = { fires: Math.min(n, total(true) >> 1), rest: Math.min(n, total(false) >> 1) };
  const held: Lesson[] = [];
  const lacks = (fires: boolean): boolean =>
    held.filter((lesson) => lesson.fires === fires).length < (fires ? wanted.fires : wanted.rest);
  const chosen = new Set<string>();
  for (const key of keys) {
    const own = lessons.filter((lesson) => lesson.key === key);
    if (!own.some(({ fires }) => lacks(fires))) continue;
    held.push(...own);
    chosen.add(key);
  }
  return { train: lessons.filter(({ key }) => !chosen.has(key)), held };
}
