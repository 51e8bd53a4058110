/** @file A language model behind an OpenAI-compatible endpoint, as a recipe names it. */
import { z } from 'zod';
import { count } from './recipe-training.ts';

/** Where it is and how it is asked. */
export const endpointSettings = {
  base_url: z
    .url({ protocol: /^https?$/ })
    .describe('OpenAI-compatible server, up to and with the version: http://127.0.0.1:8080/v1'),
  model: z.string().min(1).describe('As the server calls it'),
  api_key_env: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, 'wanted the name of an environment variable')
    .optional()
    .describe('Environment variable that holds the key, where the server wants one'),
  concurrency: count.default(4).describe('Requests at once'),
  timeout_seconds: z.number().positive().default(60).describe('Time allowed to one request'),
};

/** A judge that grades how close a completion's meaning is to the target's own. */
export const llmJudgeSettings = z.strictObject({
  ...endpointSettings,
  rubric: z.enum(['1-5', '0-5']).default('1-5').describe('Scale: 1-5 is the blog’s, 0-5 the paper’s'),
  price: z
    .strictObject({ prompt: z.number().min(0), completion: z.number().min(0) })
    .optional()
    .describe('Of a million tokens, in your currency: gives the cost before and after'),
});

export type LlmJudgeSettings = z.output<typeof llmJudgeSettings>;
