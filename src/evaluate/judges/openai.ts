/** @file The judge `llm` (docs/concepts/method.md#judges): a language model behind an OpenAI-compatible endpoint grades by a rubric, both orders. */
import { type ProgressSink, silent } from '../../base/index.ts';
import { Asker, type AskerOptions, type JudgeUsage } from './asker.ts';
import type { Judge, JudgePair } from './judge.ts';
import { RUBRIC_VERSION, type RubricName, rubricQuestion } from './rubric.ts';

/** Settings of {@link openAiJudge}. */
export interface OpenAiJudgeOptions extends AskerOptions {
  /** Scale. Defaults to `1-5`; `0-5` is the paper's. */
  readonly rubric?: RubricName;
  readonly onProgress?: ProgressSink;
}

/** A judge that knows what it cost. */
export interface OpenAiJudge extends Judge {
  readonly usage: Readonly<JudgeUsage>;
}

/**
 * Scores in rubric units (1-5 or 0-5), the mean of the two orders (reference first, candidate first). Temperature 0; an answer that
 * is not exactly `{"score": n}` is asked for once more, then it is an error. The key is read from the environment variable
 * `apiKeyEnv` when the judge is made. Throws {@link InputError} when that variable is empty.
 */
export function openAiJudge(options: OpenAiJudgeOptions): OpenAiJudge {
  const { rubric = '1-5', onProgress = silent } = options;
  const asker = new Asker(options, 'judge.llm');
  return {
    name: 'llm',
    metric: `rubric_${rubric}_v${RUBRIC_VERSION}`,
    usage: asker.usage,
    async score(pairs) {
      // Equal questions are asked once, whichever arm they come from.
      const orders = new Map<string, readonly [string, string]>();
      const id = (first: string, second: string): string => JSON.stringify([first, second]);
      for (const { candidate, reference } of pairs) {
        orders.set(id(reference, candidate), [reference, candidate]);
        orders.set(id(candidate, reference), [candidate, reference]);
      }
      let done = 0;
      const questions = [...orders.values()].map(([first, second]) => rubricQuestion(rubric, first, second));
      const found = await asker.answers(questions, () =>
        onProgress({ stage: 'judge', done: ++done, total: questions.length, unit: 'questions' }),
      );
      const grades = new Map([...orders.keys()].map((key, i) => [key, found[i].score]));
      const of = (first: string, second: string): number => grades.get(id(first, second)) as number;
      return pairs.map(({ candidate, reference }: JudgePair) => {
        return (of(reference, candidate) + of(candidate, reference)) / 2;
      });
    },
  };
}
