/** @file Questions to a language model behind an OpenAI-compatible endpoint whose answers are read strictly and kept on disk. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { CrosspatchError, hashJson, parseJson, writeJsonAtomic } from '../../base/index.ts';
import { apiKeyOf } from '../endpoint/api-key.ts';
import { inParallel } from '../endpoint/parallel.ts';
import { type ChatEndpoint, type ChatMessage, chat } from './chat.ts';

/** Settings of an {@link Asker}. */
export interface AskerOptions extends Omit<ChatEndpoint, 'apiKey'> {
  /** Folder of answers, one small JSON file per question, named by its hash. Without it nothing is kept. */
  readonly cacheFolder?: string | undefined;
  /** Requests at once. Defaults to 4. */
  readonly concurrency?: number | undefined;
  /** Price of a million tokens, in your currency; gives `usage.cost`. */
  readonly price?: { readonly prompt: number; readonly completion: number } | undefined;
}

/** What has been used so far. */
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

/** One question. */
export interface Question<T> {
  readonly messages: readonly ChatMessage[];
  /** What the question is called in the cache, besides the server, the model and the messages. */
  readonly key: Readonly<Record<string, unknown>>;
  /** Of an answer, and of a file of the cache. */
  readonly schema: z.ZodType<T>;
  /** The form of an answer, in words the model can act on: `{"score": n} with …`. */
  readonly wanted: string;
  /** What is asked for when an answer cannot be read: `{"score": <grade>}`. */
  readonly form: string;
}

/** Asks, counts and keeps. */
export class Asker {
  readonly usage: JudgeUsage = { requests: 0, cached: 0, promptTokens: 0, completionTokens: 0 };
  readonly #options: AskerOptions;
  readonly #endpoint: ChatEndpoint;

  /** The key is read from the environment variable `apiKeyEnv` now. Throws {@link InputError} when that variable is empty; `where` begins the message. */
  constructor(options: AskerOptions, where: string) {
    this.#options = options;
    this.#endpoint = { ...options, apiKey: apiKeyOf(options.apiKeyEnv, where) };
    if (options.price) this.usage.cost = 0;
  }

  /** The answer, from the cache or the server. An answer that cannot be read is asked for once more, then it is an error. */
  async answer<T>(question: Question<T>): Promise<T> {
    const { baseUrl, model, cacheFolder } = this.#options;
    const { key, messages, schema } = question;
    const name = hashJson({ baseUrl, model, ...key, messages });
    const file = cacheFolder === undefined ? undefined : join(cacheFolder, `${name}.json`);
    const known = file === undefined ? undefined : await readCached(file, schema);
    if (known !== undefined) {
      this.usage.cached++;
      return known;
    }
    const found = await this.#ask(question);
    if (file !== undefined) await writeJsonAtomic(file, found);
    return found;
  }

  /** Answers to all, in their order, at most `concurrency` at once. After a failure nothing new is asked, and the first error is thrown when all have ended. */
  async answers<T>(questions: readonly Question<T>[], onAnswer: () => void = () => {}): Promise<T[]> {
    const out: T[] = [];
    await inParallel([...questions.entries()], this.#options.concurrency ?? 4, async ([i, question]) => {
      out[i] = await this.answer(question);
      onAnswer();
    });
    return out;
  }

  async #ask<T>({ messages, schema, wanted, form }: Question<T>): Promise<T> {
    const first = await this.#request(messages);
    const reading = readAnswer(first, schema, wanted);
    if ('value' in reading) return reading.value;
    const second = await this.#request([
      ...messages,
      { role: 'assistant', content: first },
      repairMessage(reading.problem, form),
    ]);
    const repaired = readAnswer(second, schema, wanted);
    if ('value' in repaired) return repaired.value;
    throw new CrosspatchError(
      `judge ${this.#options.model}: unreadable answer twice (${repaired.problem}), got ${JSON.stringify(second.slice(0, 80))}; choose a model that follows instructions`,
      { id: 'judge-failed' },
    );
  }

  async #request(messages: readonly ChatMessage[]): Promise<string> {
    const answer = await chat(this.#endpoint, messages);
    const { price } = this.#options;
    this.usage.requests++;
    this.usage.promptTokens += answer.promptTokens;
    this.usage.completionTokens += answer.completionTokens;
    if (price)
      this.usage.cost =
        (this.usage.promptTokens * price.prompt + this.usage.completionTokens * price.completion) / 1e6;
    return answer.content;
  }
}

/** An answer as its schema has it, or what is wrong with it in words the judge can act on. */
function readAnswer<T>(
  answer: string,
  schema: z.ZodType<T>,
  wanted: string,
): { value: T } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(answer);
  } catch {
    return { problem: 'it was not a single JSON object' };
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? { value: parsed.data } : { problem: `wanted exactly ${wanted}` };
}

/** The follow-up after an unreadable answer. */
function repairMessage(problem: string, form: string): ChatMessage {
  return {
    role: 'user',
    content: `Your answer could not be read: ${problem}. Answer again with ${form} only.`,
  };
}

/** A cached answer; a missing or damaged file counts as unknown and is asked again. */
async function readCached<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(parseJson(await readFile(file, 'utf8'), file));
  } catch {
    return undefined;
  }
}
