/** @file How near a model comes to the steered one, on lessons it has not seen: divergence per token, equal answers, a pattern in them. */
import { type Rng, throwIfAborted } from '../../base/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { bootstrapMean, type Estimate, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { divergences, predictingStates } from './forced.ts';
import type { Lesson } from './teach.ts';

/** What a model says to a lesson's prompt. */
export interface Reading {
  /** Its own greedy answer. */
  readonly text: string;
  /** That is the teacher's, token by token. */
  readonly same: boolean;
  /** KL(teacher ‖ model) in nats, mean over the tokens of the teacher's answer. */
  readonly kl: number;
}

/** Ask `model` what `teacher` (its decoder made the lessons' states) was asked. */
export async function readLessons(
  model: LanguageModel,
  lessons: readonly Lesson[],
  { teacher, maxTokens, batch }: { teacher: LanguageModel; maxTokens: number; batch: number },
  env: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<Reading[]> {
  const readings: Reading[] = [];
  for (let at = 0; at < lessons.length; at += batch) {
    throwIfAborted(env.signal, 'bake');
    const part = lessons.slice(at, at + batch);
    const options = { maxNewTokens: maxTokens, maxBatch: batch, signal: env.signal };
    const answers = await model.generate(
      part.map(({ prompt }) => prompt),
      options,
    );
    const states = await predictingStates(model, part);
    for (const [i, lesson] of part.entries()) {
      const kl = await divergences(
        { decoder: teacher.decoder, states: lesson.states },
        { decoder: model.decoder, states: states[i] },
      );
      const { ids, text, finishReason } = answers[i];
      const same = `${ids}` === `${lesson.answer}` && (finishReason === 'stop') === lesson.ended;
      readings.push({ text, same, kl: kl.reduce((a, b) => a + b, 0) / kl.length });
    }
    const done = Math.min(at + batch, lessons.length);
    env.progress({ stage: 'measure', done, total: lessons.length, unit: 'prompts' });
  }
  return readings;
}

/** Models that stand beside the steered one. */
export const BAKE_ARMS = ['baked', 'base', 'control'] as const;
export type BakeArm = (typeof BAKE_ARMS)[number];

/** Figures of one kind of prompt. On prompts left alone the steered model is the base, which is then no arm. */
export interface KindFigures {
  /** Held-out prompts. */
  readonly n: number;
  /** KL(steered ‖ arm) in nats: mean over prompts of the mean per token. */
  readonly kl_per_token: Partial<Record<BakeArm, Estimate>>;
  /** Share of greedy answers that are the steered ones, token by token. */
  readonly same_answer: Partial<Record<BakeArm, Estimate>>;
  /** Share of answers that show the pattern. */
  readonly shows?: Partial<Record<BakeArm | 'steered', Estimate>>;
  /** Of prompts on which the steering changes whether the pattern shows: share on which the arm shows it as the steered model does. */
  readonly restored?: Partial<Record<BakeArm, Estimate>>;
}

/** The figures of the lessons of one kind. `shows` tells whether an answer has the pattern. */
export function kindFigures(
  lessons: readonly Lesson[],
  arms: { readonly [arm in BakeArm]?: readonly Reading[] | undefined },
  rng: Rng,
  shows?: (answer: string) => boolean,
): KindFigures {
  const each = <T>(of: (readings: readonly Reading[], arm: BakeArm) => T): Partial<Record<BakeArm, T>> =>
    Object.fromEntries(
      BAKE_ARMS.flatMap((arm) => {
        const readings = arms[arm];
        return readings === undefined ? [] : [[arm, of(readings, arm)]];
      }),
    );
  const figures = {
    n: lessons.length,
    kl_per_token: each((readings, arm) =>
      bootstrapMean(
        readings.map(({ kl }) => kl),
        rng.fork(arm),
      ),
    ),
    same_answer: each((readings) => rate(readings.map(({ same }) => same))),
  };
  if (shows === undefined) return figures;
  const steered = lessons.map(({ text }) => shows(text));
  const found = each((readings) => readings.map(({ text }) => shows(text)));
  const shown = { steered: rate(steered), ...each((_, arm) => rate(found[arm] ?? [])) };
  const { base } = found;
  if (base === undefined) return { ...figures, shows: shown };
  const changed = steered.flatMap((s, i) => (s === base[i] ? [] : [i]));
  const restored = each((_, arm) => rate(changed.map((i) => found[arm]?.[i] === steered[i])));
  return { ...figures, shows: shown, restored: { baked: restored.baked, control: restored.control } };
}
