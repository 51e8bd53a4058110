/** @file Judges of texts: lexical measures, and a language model behind an OpenAI-compatible endpoint. */

export type { JudgeUsage } from './asker.ts';
export { chrf, chrfPlusPlus } from './chrf.ts';
export { judgeCost, llmJudge } from './from-recipe.ts';
export type { Judge, JudgePair } from './judge.ts';
export { type LexicalMetric, lexicalJudge, lexicalMetrics } from './lexical.ts';
export { type OpenAiJudge, type OpenAiJudgeOptions, openAiJudge } from './openai.ts';
export { exactMatch, rougeL, tokenF1 } from './overlap.ts';
export { RUBRIC_VERSION, type RubricName } from './rubric.ts';
