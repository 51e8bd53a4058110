/** @file The judge of a recipe: a language model, its answers kept in the cache of crosspatch. */
import { join } from 'node:path';
import { hashJson } from '../../base/index.ts';
import type { LlmJudgeSettings } from '../../contracts/index.ts';
import { cacheRoot } from '../../models/index.ts';
import { type OpenAiJudge, type OpenAiJudgeOptions, openAiJudge } from './openai.ts';

/** Answers are kept per server and model, so that a run that was stopped asks only what is open. */
export function llmJudge(
  { base_url, model, rubric, api_key_env, concurrency, timeout_seconds, price }: LlmJudgeSettings,
  options: Pick<OpenAiJudgeOptions, 'signal' | 'onProgress'> = {},
): OpenAiJudge {
  return openAiJudge({
    ...options,
    baseUrl: base_url,
    model,
    rubric,
    apiKeyEnv: api_key_env,
    concurrency,
    timeoutMs: 1000 * timeout_seconds,
    price,
    cacheFolder: join(cacheRoot(), 'judge', hashJson({ base_url, model }).slice(0, 16)),
  });
}

/** Tokens of a question about two texts of `tokens` tokens each, and of its answer: rubric and JSON around them. */
const AROUND_QUESTION = 260;
const ANSWER = 10;

/** What a judge may be asked at most: two orders of every completion of every arm, against the target's own and, for maps, the source's. */
export function judgeCost(
  { price }: Pick<LlmJudgeSettings, 'price'>,
  of: {
    /** Prompts, safe and bad. */
    readonly prompts: number;
    readonly maps: number;
    /** Arms that are not a map under test. */
    readonly others: number;
    readonly tokens: number;
  },
): { readonly questions: number; readonly cost: number | undefined } {
  const questions = 2 * of.prompts * (2 * of.maps + of.others);
  const asked = questions * (AROUND_QUESTION + 2 * of.tokens);
  const cost = price && (asked * price.prompt + questions * ANSWER * price.completion) / 1e6;
  return { questions, cost };
}
