/**
 * @file llama.cpp beside us, by the package node-llama-cpp where a person has installed it. It is loaded when it is asked for, by name: no part
 * of the program needs it, nor its types.
 */
import { availableParallelism } from 'node:os';
import { InputError, type Owned } from '../../base/index.ts';
import type { Task } from './timing.ts';

const PACKAGE = 'node-llama-cpp';

/** What we use of the package (its documentation: LlamaContext, LlamaContextSequence). */
interface Package {
  getLlama(options: {
    gpu: false;
    build: 'never';
    maxThreads: number;
    logLevel: 'error';
  }): Promise<Owned & { loadModel(options: { modelPath: string }): Promise<Model> }>;
}
interface Model extends Owned {
  createContext(options: {
    contextSize: number;
    sequences: number;
    batchSize: number;
    threads: number;
    flashAttention: boolean;
  }): Promise<Owned & { getSequence(): Sequence }>;
}
interface Sequence {
  clearHistory(): Promise<void>;
  evaluateWithoutGeneratingNewTokens(ids: readonly number[]): Promise<void>;
  evaluate(
    ids: readonly number[],
    options: { temperature: 0; yieldEogToken: true },
  ): AsyncGenerator<number, void, void>;
}

/** A model file opened by llama.cpp: the tasks it is timed on. */
export interface LlamaCpp extends Owned {
  /** Read all prompts at once. Work: tokens. Unlike ours, it computes no logits. */
  readonly prefill: Task;
  /** Decode after the first `rows` prompts, greedily; work as in `decodeColumns`. */
  readonly decode: (rows: number) => Task;
}

/** The package's entry. Throws {@link InputError} where it is not installed. */
export async function loadLlamaCpp(): Promise<Package> {
  try {
    // A variable: the compiler must not look for its types.
    return (await import(PACKAGE as string)) as Package;
  } catch (cause) {
    throw new InputError(
      `--against llama.cpp: the package ${PACKAGE} is not installed; npm install --ignore-scripts ${PACKAGE}@3.22.1`,
      { id: 'package-missing', cause },
    );
  }
}

/** Open a GGUF. `prompts` have equal lengths; each may be decoded after for `newTokens`. */
export async function openLlamaCpp(
  { getLlama }: Package,
  file: string,
  { prompts, newTokens }: { readonly prompts: readonly (readonly number[])[]; readonly newTokens: number },
): Promise<LlamaCpp> {
  const threads = availableParallelism();
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const tokens = prompts.reduce((n, ids) => n + ids.length, 0);
  const contextSize = Math.max(...prompts.map(({ length }) => length)) + newTokens + 8;
  const sizes = { contextSize, batchSize: tokens, threads, flashAttention: false };
  const model = await llama.loadModel({ modelPath: file });
  // A context of one sequence for one row: that is how people run it.
  const alone = await model.createContext({ ...sizes, sequences: 1 });
  const together = await model.createContext({ ...sizes, sequences: prompts.length });
  const one = alone.getSequence();
  const all = prompts.map(() => together.getSequence());
  return {
    prefill: async () => {
      for (const sequence of all) await sequence.clearHistory();
      await Promise.all(all.map((sequence, b) => sequence.evaluateWithoutGeneratingNewTokens(prompts[b]!)));
      return tokens;
    },
    decode: (rows) => () => decode(rows === 1 ? [one] : all.slice(0, rows), prompts, newTokens),
    async [Symbol.asyncDispose]() {
      for (const part of [together, alone, model, llama]) await part[Symbol.asyncDispose]();
    },
  };
}

/** Tokens decoded a second × the seconds of the call, the first token of each row, and with it the prompt, left out. */
async function decode(
  sequences: readonly Sequence[],
  prompts: readonly (readonly number[])[],
  newTokens: number,
): Promise<number> {
  for (const sequence of sequences) await sequence.clearHistory();
  const started = performance.now();
  let [waiting, first] = [sequences.length, 0];
  await Promise.all(
    sequences.map(async (sequence, b) => {
      let count = 0;
      for await (const _ of sequence.evaluate(prompts[b]!, { temperature: 0, yieldEogToken: true })) {
        if (++count === 1 && --waiting === 0) first = performance.now();
        if (count > newTokens) break;
      }
    }),
  );
  const ended = performance.now();
  return ((sequences.length * newTokens) / (ended - first)) * (ended - started);
}
