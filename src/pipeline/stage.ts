/**
 * @file What a stage is: a pure function of its inputs, its parameters and its seed that fills a folder and returns a small
 * JSON value. Everything else (caching, order, processes, progress) is the runner's.
 */
import type { z } from 'zod';
import type { ProgressSink, Rng } from '../base/index.ts';
import type { ManifestData, ManifestModel } from '../contracts/index.ts';
import type { Queue } from './queue.ts';

/** The finished stage (or source file) behind an input. `folder` is read-only; for a source it is the file or folder itself. */
export interface StageInput<O> {
  readonly key: string;
  readonly folder: string;
  readonly output: O;
}

type InputOf<T> = T extends undefined
  ? undefined
  : T extends readonly (infer E)[]
    ? readonly StageInput<E>[]
    : StageInput<T>;
/** The same while some are not finished: those are undefined, also within lists. */
export type InputsSoFar<I> = {
  readonly [K in keyof I]:
    | (InputOf<I[K]> extends readonly (infer E)[] ? readonly (E | undefined)[] : InputOf<I[K]>)
    | undefined;
};
/** Names to finished inputs; a list type stands for any number of stages of one kind, `?` for one that may be left out. */
export type StageInputs<I> = { readonly [K in keyof I]: InputOf<I[K]> };

/** What a running stage is given. `P` parameters, `I` name → output type of each input. */
export interface StageContext<P, I = Record<never, never>> {
  readonly params: P;
  readonly inputs: StageInputs<I>;
  /** Empty folder to write files into; it becomes `StageInput.folder` of whoever reads this stage. */
  readonly folder: string;
  readonly seed: number;
  /** A generator of this stage's own stream of `seed`. */
  readonly rng: Rng;
  /** Reports progress; the runner puts the node's id in place of `event.stage`. */
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  /** Threads this stage may use so that stages side by side share the cores. Must not change any result. */
  readonly threads: number;
  /** For many independent pieces; in a child process it works through them one by one. */
  readonly queue: Queue;
}

/** What `--dry-run` prints of a stage that is not cached. Rough: what a text holds is not known yet. */
export interface StageEstimate {
  readonly seconds?: number;
  /** Tokens that go through a model, at most: drafts that are verified save a part. */
  readonly tokens?: number;
  /** High-water mark of its process. */
  readonly memory_bytes?: number;
}

/** What is known of a stage before anything has run. */
export interface Ahead {
  /** The models it hangs on, each once. */
  readonly models: readonly Omit<ManifestModel, 'sha256'>[];
  /** Parameters of a stage of this name that it hangs on; undefined when there is none. */
  params(stage: string): Readonly<Record<string, unknown>> | undefined;
}

/** A kind of stage. Bump `version` whenever its code would give other bytes for the same inputs. */
export interface Stage<P, I, O extends object> {
  /** Small letters and dashes: part of the folder's name in the store. */
  readonly name: string;
  readonly version: string;
  /** `import.meta.url` of the module that exports this stage: how a child process finds it. */
  readonly module: string;
  /** Strict schema of the parameters; its output must be JSON. Defaults are part of the cache key. */
  readonly params: z.ZodType<P>;
  /** Run in a child process, so that stages run side by side (a session blocks its event loop). Defaults to false. */
  readonly child?: boolean;
  estimate?(params: P, ahead: Ahead): StageEstimate;
  /** The output as far as it goes while inputs are missing: quick, no files, shown while a run goes on. */
  preview?(params: P, inputs: InputsSoFar<I>): O;
  /** What the manifest says of data this stage made, from its output and its folder. */
  data?(output: O, folder: string): Promise<readonly ManifestData[]>;
  /** Fill `ctx.folder`, return JSON (finite numbers, no typed arrays). The same context must give the same bytes. */
  run(ctx: StageContext<P, I>): Promise<O>;
}

/** Any stage, its types forgotten. */
export type AnyStage = Stage<unknown, unknown, object>;

/**
 * Declare a stage; types come from `params` and from the annotation of `ctx`.
 *
 * @example
 * export const countStage = defineStage({
 *   name: 'count', version: '1', module: import.meta.url,
 *   params: z.strictObject({ letter: z.string() }),
 *   async run({ params, inputs }: StageContext<{ letter: string }, { text: { words: string[] } }>) {
 *     return { n: inputs.text.output.words.filter((w) => w.includes(params.letter)).length };
 *   },
 * });
 */
export function defineStage<P, I, O extends object>(stage: Stage<P, I, O>): Stage<P, I, O> {
  return stage;
}
