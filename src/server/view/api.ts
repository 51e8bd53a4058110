/** @file What the web app and its server say to each other: types only, so that the browser bundle carries none of the server. */
import type { Manifest, Rate, Results, Sample } from '../../contracts/index.ts';
import type { ExampleTable, ScoredSample } from '../../figures/index.ts';
import type { FigureDifference, LogLine } from '../../pipeline/index.ts';

/** A failed request: one line saying where, what was wanted, what came, what to do next. */
export interface ApiError {
  readonly error: string;
}

/** `GET /api/session`. */
export interface Session {
  readonly version: string;
  /** Name of the runs folder, without the path to it. */
  readonly folder: string;
  /** The one run this server was opened on, when it was. */
  readonly only?: string;
}

/** The claim of one behaviour in a line: restoration by the mapped vector and its strongest noise control. */
export interface Headline {
  readonly behaviour: string;
  readonly placement: string;
  readonly restoration: Rate;
  readonly noise?: number;
}

/** One entry of `GET /api/runs`. `id` is the folder's name. */
export type RunSummary =
  | {
      readonly id: string;
      readonly name: string;
      readonly status: Manifest['status'];
      readonly started_at: string;
      readonly finished_at?: string;
      readonly stages: { readonly done: number; readonly total: number };
      readonly models: readonly string[];
      readonly headlines: readonly Headline[];
    }
  | { readonly id: string; readonly problem: string };

/** `GET /api/runs/:run`. */
export interface RunDetail {
  readonly id: string;
  readonly manifest: Manifest;
  readonly has: { readonly results: boolean; readonly samples: boolean; readonly report: boolean };
}

/** `GET /api/runs/:run/results`. */
export interface RunResults {
  readonly results: Results;
  /** The run goes on: these are what its finished stages found. */
  readonly partial: boolean;
  /** Paragraphs, each as its sentences; the first is the claim. */
  readonly verdict: readonly (readonly string[])[];
}

/** `GET /api/runs/:run/drawn?behaviour=N`: what figures need of the samples of the N-th behaviour. */
export interface DrawnSamples {
  /** Single scores, for violins. */
  readonly scores: readonly ScoredSample[];
  readonly examples: ExampleTable | null;
}

/**
 * Server-sent events of `GET /api/runs/:run/events`, by event name. The id of a `log` event is the byte offset behind its line
 * in `log.jsonl`, so a connection cut anywhere goes on there, also when the server was started anew in between.
 */
export interface RunEvents {
  readonly manifest: Manifest;
  readonly log: LogLine;
  /** The log was replaced by a shorter one: forget what came before. */
  readonly reset: null;
  /** What is in the log so far has been sent. */
  readonly live: null;
  /** Results (whole or in part) or the report are new. */
  readonly results: null;
}

/** `GET /api/compare?a=&b=`. `values` = figures of both that are equal, counted only. */
export interface Comparison {
  readonly a: string;
  readonly b: string;
  readonly differences: readonly FigureDifference[];
  readonly equal: number;
}

/** What `GET /api/runs/:run/samples` filters by; every field narrows. */
export interface SampleFilter {
  readonly behaviour?: string;
  readonly stage?: string;
  readonly arm?: string;
  /** A flag of `Sample.outcome`, `!` in front for "measured and false". */
  readonly outcome?: string;
  /** Text that prompt or completion must contain, case ignored. */
  readonly q?: string;
  readonly rated?: 'yes' | 'no';
}

/** One prompt in a list of samples. */
export interface SampleGroupEntry {
  readonly behaviour: string;
  readonly prompt_id: string;
  /** Start of the prompt. */
  readonly excerpt: string;
  /** Rows in all, and how many of them fit the filter. */
  readonly rows: number;
  readonly fits: number;
  readonly rated: number;
}

/** `GET /api/runs/:run/samples`. */
export interface SampleIndex {
  readonly groups: readonly SampleGroupEntry[];
  /** Samples in all, and lines that could not be read. */
  readonly samples: number;
  readonly unreadable: number;
  /** What can be filtered by, over all samples. */
  readonly choices: {
    readonly behaviours: readonly string[];
    readonly stages: readonly string[];
    readonly arms: readonly string[];
    readonly outcomes: readonly string[];
  };
}

/** A person's judgement: 5 same meaning … 1 nothing in common with the ordinary answer. */
export interface Rating {
  readonly rating: number;
  readonly note?: string;
  readonly time: string;
}

/** `GET /api/runs/:run/group`: every completion of one prompt; takes the fields of {@link SampleFilter} too. */
export interface SampleGroup {
  readonly behaviour: string;
  readonly prompt_id: string;
  readonly samples: readonly Sample[];
  /** Ids of those that fit the filter asked with. */
  readonly fits: readonly string[];
  /** By sample id. */
  readonly ratings: Readonly<Record<string, Rating>>;
}

/** `PUT /api/runs/:run/ratings`; `rating: null` takes a judgement back. */
export interface RatingChange {
  readonly id: string;
  readonly rating: number | null;
  readonly note?: string;
}

/** A model the playground may open. */
export interface PlaygroundModel {
  /** `tiny/tiny-llama-s`, `run/demo/locked.target`, `path/0`: what the browser may name; never a path. */
  readonly id: string;
  readonly label: string;
}

/** A fitted map the playground may use. `source` and `target` are names for people. */
export interface PlaygroundMap {
  readonly id: string;
  readonly label: string;
  readonly source: string;
  readonly target: string;
  readonly source_block: number;
  readonly target_block: number;
  /** Ids of the models it was made for, where they are among those offered. */
  readonly source_model?: string;
  readonly target_model?: string;
}

/** `GET /api/playground`. */
export interface PlaygroundChoices {
  readonly models: readonly PlaygroundModel[];
  readonly maps: readonly PlaygroundMap[];
  /** Questions the bundled models were made for. */
  readonly examples: readonly string[];
}

/** Ways of changing the run, in the order they are shown. `clean` is the prompt as it is, `donor` the same prompt under the other trigger, whose activations are put in. */
export const PLAYGROUND_ARMS = ['clean', 'donor', 'native', 'mapped', 'random', 'mean_ablated'] as const;
export type PlaygroundArm = (typeof PLAYGROUND_ARMS)[number];

/**
 * What is done at the trigger's tokens, t being the donor's activations, v the difference from the run's own to them: `set` =
 * x + α (t − x), `add` = x + α v, `project` = x − α (x·v / v·v) v.
 */
export const PLAYGROUND_OPS = ['set', 'add', 'project'] as const;
export type PlaygroundOp = (typeof PLAYGROUND_OPS)[number];

/** `POST /api/playground/run`. */
export interface PlaygroundRequest {
  readonly model: string;
  readonly text: string;
  /** Which trigger stands in the prompt. */
  readonly trigger: 'bad' | 'safe' | 'none';
  readonly bad: string;
  readonly safe: string;
  readonly placement: 'prefix' | 'middle' | 'end';
  readonly template: 'instruction' | 'alpaca' | 'chat' | 'raw';
  /** Tokens after the trigger that are patched too. */
  readonly after: number;
  readonly block: number;
  /** Defaults to `set`. */
  readonly op?: PlaygroundOp;
  /** α: 0 leaves the run as it is, 1 does the whole of it. */
  readonly strength: number;
  readonly arms: readonly PlaygroundArm[];
  readonly maxTokens: number;
  readonly map?: string;
  /** Where the map's source runs; needed with `mapped`. */
  readonly source?: string;
}

/** Proof that an arm changed something (contracts' `InterventionEffect`, with the arm). */
export interface PlaygroundProof {
  readonly arm: PlaygroundArm;
  readonly hook: string;
  readonly positions: readonly number[];
  /** Mean of ‖Δ‖/‖h‖ over positions. */
  readonly relative_change: number;
  /** KL(steered ‖ clean) of the next token, nats. */
  readonly kl_div: number;
}

/** Lines of the answer to `POST /api/playground/run`, one JSON object a line. */
export type PlaygroundEvent =
  | { readonly type: 'status'; readonly message: string }
  | {
      readonly type: 'prompt';
      readonly blocks: number;
      /** Text of every token of the prompt, and of the donor's. */
      readonly tokens: readonly string[];
      readonly donorTokens: readonly string[];
      readonly arms: readonly PlaygroundArm[];
      /** Arms that cannot be run here, and why. */
      readonly missing: Readonly<Partial<Record<PlaygroundArm, string>>>;
    }
  | ({ readonly type: 'proof' } & PlaygroundProof)
  | { readonly type: 'token'; readonly arm: PlaygroundArm; readonly text: string }
  | { readonly type: 'end'; readonly arm: PlaygroundArm; readonly finish: 'stop' | 'length' }
  | { readonly type: 'done'; readonly seconds: number; readonly tokens: number }
  | { readonly type: 'error'; readonly message: string };
