/** @file The judge `llm` (docs/concepts/method.md#judges): a language model behind an OpenAI-compatible endpoint grades by a rubric, both orders. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  CrosspatchError,
  hashJson,
  InputError,
  type ProgressSink,
  silent,
  writeJsonAtomic,
} from '../../base/index.ts';
import { type ChatEndpoint, chat } from './chat.ts';
import type { Judge, JudgePair } from './judge.ts';
import { RUBRIC_VERSION, type RubricName, readScore, repairMessage, rubricMessages } from './rubric.ts';

/** Settings of {@link openAiJudge}. */
export interface OpenAiJudgeOptions extends Omit<ChatEndpoint, 'apiKey'> {
  /** Scale. Defaults to `1-5`; `0-5` is the paper's. */
  readonly rubric?: RubricName;
  /** Folder of answers, one small JSON file per question, named by its hash. Without it nothing is kept. */
  readonly cacheFolder?: string;
  /** Requests at once. Defaults to 4. */
  readonly concurrency?: number;
  /** Price of a million tokens, in your currency; gives `usage.cost`. */
  readonly price?: { readonly prompt: number; readonly completion: number };
  readonly onProgress?: ProgressSink;
}

/** What the judge has used since it was made. */
export interface JudgeUsage {
  /** Requests answered by the server, repairs included. */
  requests: number;
  /** Questions answered from the cache folder. */
  cached: number;
  promptTokens: number;
  completionTokens: number;
  /** In the currency of `price`; absent without it. */
  cost?: number;
}

/** A judge that knows what it cost. */
export interface OpenAiJudge extends Judge {
  readonly usage: Readonly<JudgeUsage>;
}

const cachedSchema = z.strictObject({ score: z.number() });

/**
 * Scores in rubric units (1-5 or 0-5), the mean of the two orders (reference first, candidate first). Temperature 0; an answer that
 * is not exactly `{"score": n}` is asked for once more, then it is an error. The key is read from the environment variable
 * `apiKeyEnv` when the judge is made. Throws {@link InputError} when that variable is empty.
 */
export function openAiJudge(options: OpenAiJudgeOptions): OpenAiJudge {
  const { rubric = '1-5', concurrency = 4, onProgress = silent, price, cacheFolder } = options;
  const apiKey = options.apiKeyEnv === undefined ? undefined : process.env[options.apiKeyEnv];
  if (options.apiKeyEnv !== undefined && !apiKey)
    throw new InputError(
      `judge.llm: the environment variable ${options.apiKeyEnv} is not set; put the key there`,
      { id: 'judge-failed' },
    );
  const endpoint: ChatEndpoint = { ...options, apiKey };
  const usage: JudgeUsage = { requests: 0, cached: 0, promptTokens: 0, completionTokens: 0 };
  if (price) usage.cost = 0;

  /** The grade of one ordered question, from the cache or the server. */
  async function grade(first: string, second: string): Promise<number> {
    const messages = rubricMessages(rubric, first, second);
    const key = hashJson({
      baseUrl: options.baseUrl,
      model: options.model,
      rubric,
      version: RUBRIC_VERSION,
      messages,
    });
    const file = cacheFolder === undefined ? undefined : join(cacheFolder, `${key}.json`);
    const known = file === undefined ? undefined : await readCached(file);
    if (known !== undefined) {
      usage.cached++;
      return known;
    }
    const score = await ask(messages);
    if (file !== undefined) await writeJsonAtomic(file, { score });
    return score;
  }

  async function ask(messages: ReturnType<typeof rubricMessages>): Promise<number> {
    const first = await request(messages);
    const reading = readScore(rubric, first);
    if ('score' in reading) return reading.score;
    const second = await request([
      ...messages,
      { role: 'assistant', content: first },
      repairMessage(reading.problem),
    ]);
    const repaired = readScore(rubric, second);
    if ('score' in repaired) return repaired.score;
    throw new CrosspatchError(
      `judge ${options.model}: unreadable answer twice (${repaired.problem}), got ${JSON.stringify(second.slice(0, 80))}; choose a model that follows instructions`,
      { id: 'judge-failed' },
    );
  }

  async function request(messages: ReturnType<typeof rubricMessages>): Promise<string> {
    const answer = await chat(endpoint, messages);
    usage.requests++;
    usage.promptTokens += answer.promptTokens;
    usage.completionTokens += answer.completionTokens;
    if (price)
      usage.cost = (usage.promptTokens * price.prompt + usage.completionTokens * price.completion) / 1e6;
    return answer.content;
  }

  return {
    name: 'llm',
    metric: `rubric_${rubric}_v${RUBRIC_VERSION}`,
    usage,
    async score(pairs) {
      // Equal questions are asked once, whichever arm they come from.
      const questions = new Map<string, { first: string; second: string; grade: number }>();
      const id = (first: string, second: string): string => JSON.stringify([first, second]);
      const add = (first: string, second: string): void => {
        questions.set(id(first, second), { first, second, grade: Number.NaN });
      };
      for (const { candidate, reference } of pairs) {
        add(reference, candidate);
        add(candidate, reference);
      }
      let done = 0;
      await inParallel([...questions.values()], concurrency, async (question) => {
        question.grade = await grade(question.first, question.second);
        onProgress({ stage: 'judge', done: ++done, total: questions.size, unit: 'questions' });
      });
      const of = (first: string, second: string): number => questions.get(id(first, second))!.grade;
      return pairs.map(({ candidate, reference }: JudgePair) => {
        return (of(reference, candidate) + of(candidate, reference)) / 2;
      });
    },
  };
}

/** A cached grade; a missing or damaged file counts as unknown and is asked again. */
async function readCached(file: string): Promise<number | undefined> {
  try {
    return cachedSchema.parse(JSON.parse(await readFile(file, 'utf8'))).score;
  } catch {
    return undefined;
  }
}

/** Run `work` on all items, at most `limit` at once. After a failure nothing new starts, and the first error is thrown when all have ended. */
async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const item = items[next++];
      await work(item).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, limit) }, worker));
  if (failures.length > 0) throw failures[0];
}
