/**
 * @file What a stage is: a pure function of its inputs, its parameters and its seed that fills a folder and returns a small
 * JSON value. Everything else (caching, order, processes, progress) is the runner's.
 */
import type { z } from 'zod';
import type { ProgressSink, Rng } from '../base/index.ts';
import type { EngineRecord, ManifestData, ManifestModel } from '../contracts/index.ts';
import type { LanguageModel, WeightsForm } from '../models/index.ts';

/** The finished stage (or source file) an input refers to. `folder` is read-only; for a source it is the file or folder itself. */
export interface StageInput<O> {
  readonly key: string;
  readonly folder: string;
  readonly output: O;
  /** Path of the model it holds, where it holds one. */
  readonly model?: string | undefined;
  /** How that model's matrices are to be held. */
  readonly weights?: WeightsForm | undefined;
}

/** What an input may be: a stage of this output, or {@link sourceFile}. */
export interface InputKind<O> {
  readonly '~output'?: () => O;
}

/** Output of a file or folder from outside: a model, a data set. */
export interface SourceOutput {
  readonly name: string;
  readonly sha256: string;
}

/** An input that is a file or folder from outside. */
export const sourceFile: InputKind<SourceOutput> = {};

/** An input that holds a model that runs: a stage that leaves one, or a model from outside. */
export const subjectModel: InputKind<object> = {};

/** An input that may be left out. */
export function optional<O>(_kind: InputKind<O>): InputKind<O | undefined> {
  return {};
}

/** Name → kind of input; a list of one kind is any number of inputs of it. */
export type InputSpecs = Readonly<Record<string, InputKind<unknown> | readonly [InputKind<unknown>]>>;

type OutputOf<K> = K extends { readonly '~output'?: () => infer O } ? O : never;
/** Name → output type of each input. */
export type OutputsOf<S> = {
  -readonly [K in keyof S]: S[K] extends readonly [infer E] ? OutputOf<E>[] : OutputOf<S[K]>;
};

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
  /** The model of an input: loaded when it is first asked for, kept, and disposed of when the stage ends. */
  model(input: keyof I & string): Promise<LanguageModel>;
}

/** What `--dry-run` prints of a stage that is not cached. Rough: what a text holds is not known yet. */
export interface StageEstimate {
  readonly seconds?: number;
  /** Tokens that go through a model, at most: drafts that are verified save a part. */
  readonly tokens?: number;
  /** High-water mark of its process. */
  readonly memory_bytes?: number;
  /** Questions to a language model behind a server, at most, and what they cost in the currency of the recipe's prices. */
  readonly questions?: number;
  readonly cost?: number | undefined;
}

/** What is known of a stage before anything has run. */
export interface PlanInfo {
  /** The models it hangs on, each once. */
  readonly models: readonly Omit<ManifestModel, 'sha256'>[];
  /** Parameters of a stage of this name that it hangs on; undefined when there is none. */
  params(stage: string): Readonly<Record<string, unknown>> | undefined;
}

/** A kind of stage. Bump `version` whenever its code would give other bytes for the same inputs. */
export interface Stage<P, I, O extends object> extends InputKind<O> {
  /** Small letters and dashes: part of the folder's name in the store. */
  readonly name: string;
  readonly version: string;
  /** `import.meta.url` of the module that exports this stage: how a child process finds it. */
  readonly module: string;
  /** Strict schema of the parameters; its output must be JSON. Defaults are part of the cache key. */
  readonly params: z.ZodType<P>;
  /** What it reads. */
  readonly inputs?: InputSpecs;
  /** Where in its folder it leaves a model that runs. */
  readonly model?: string;
  /** Run in a child process, so that stages run side by side (a session blocks its event loop). Defaults to false. */
  readonly child?: boolean;
  estimate?(params: P, info: PlanInfo): StageEstimate;
  /** The output as far as it goes while inputs are missing: quick, no files, shown while a run goes on. */
  preview?(params: P, inputs: InputsSoFar<I>): O;
  /** What the manifest says of data this stage made, from its output and its folder. */
  data?(output: O, folder: string): Promise<readonly ManifestData[]>;
  /** What the manifest says of a server that generated for this stage. */
  engine?(output: O): EngineRecord | undefined;
  /** Fill `ctx.folder`, return JSON (finite numbers, no typed arrays). The same context must give the same bytes. */
  run(ctx: StageContext<P, I>): Promise<O>;
}

/** Any stage, its types forgotten. */
export type AnyStage = Stage<unknown, unknown, object>;

/** A stage as it is declared: `inputs` says the types of what it reads. */
export type StageDefinition<P, S, O extends object> = Omit<
  Stage<P, OutputsOf<S>, O>,
  'inputs' | '~output'
> & {
  readonly inputs?: S;
};

/**
 * Declare a stage; the types of its context come from `params` and `inputs`.
 *
 * @example
 * export const countStage = defineStage({
 *   name: 'count', version: '1', module: import.meta.url,
 *   params: z.strictObject({ letter: z.string() }),
 *   inputs: { text: wordsStage },
 *   async run({ params, inputs }) {
 *     return { n: inputs.text.output.words.filter((w) => w.includes(params.letter)).length };
 *   },
 * });
 */
export function defineStage<P, O extends object, const S extends InputSpecs = Record<never, never>>(
  stage: StageDefinition<P, S, O>,
): Stage<P, OutputsOf<S>, O> {
  return stage;
}
