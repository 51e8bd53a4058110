/** @file What the server asks of the process that holds the model, and what it is told. */
import type { ErrorId } from '../../base/index.ts';
import type { TemplateName } from '../../behaviours/index.ts';
import type {
  Arithmetic,
  ArithmeticFigures,
  InterventionDocument,
  InterventionEffect,
} from '../../contracts/index.ts';
import type { ChatMessage, WeightsForm } from '../../models/index.ts';

/** `auto`: the model's own chat template, else `instruction`. */
export type TemplateOption = TemplateName | 'auto';

/** What is carried out on a request's prompt. */
export interface QuestionSteering {
  /** As the answer's proof calls it; absent for a document from a request's body. */
  readonly name?: string | undefined;
  readonly document: InterventionDocument;
  /** Folder that the document's paths are relative to. */
  readonly folder?: string | undefined;
}

/** One completion. */
export interface Question {
  readonly prompt:
    | { readonly messages: readonly ChatMessage[] }
    | { readonly text: string }
    | { readonly ids: readonly number[] };
  readonly steering?: QuestionSteering | undefined;
  /** New tokens at most; absent: as many as the context and the server allow. */
  readonly maxTokens?: number | undefined;
  readonly temperature: number;
  readonly topP: number;
  readonly topK?: number | undefined;
  readonly seed: number;
  readonly stop: readonly string[];
  /** Likeliest tokens named with each; 0: only its own log-probability. */
  readonly logprobs?: number | undefined;
  /** Say the prompt too. */
  readonly echo: boolean;
}

/** A token as OpenAI's clients see it. */
export interface SpokenToken {
  readonly token: string;
  /** Its bytes, where the text alone does not say them. */
  readonly bytes: readonly number[];
  /** Natural logarithm, at temperature 1; null for a prompt's first token. */
  readonly logprob: number | null;
  readonly top: readonly {
    readonly token: string;
    readonly bytes: readonly number[];
    readonly logprob: number;
  }[];
}

/** Proof of what steering did. */
export interface SteeringProof {
  readonly name?: string | undefined;
  /** Whether the document was carried out on this prompt. */
  readonly fired: boolean;
  /** Of every edit; `kl_div`: KL(steered ‖ unsteered) of the first token, nats. */
  readonly effects: readonly InterventionEffect[];
}

/** What becomes of a question, in order: at most one `prompt`, pieces, one `end`; or an error at any time. */
export type AnswerEvent =
  | { readonly type: 'prompt'; readonly text: string; readonly tokens?: readonly SpokenToken[] | undefined }
  | { readonly type: 'piece'; readonly text: string; readonly token?: SpokenToken | undefined }
  | {
      readonly type: 'end';
      readonly finish: 'stop' | 'length';
      readonly promptTokens: number;
      readonly completionTokens: number;
      readonly steering?: SteeringProof | undefined;
    }
  | { readonly type: 'error'; readonly message: string; readonly code: ErrorId; readonly input: boolean };

/** How the process opens its model. */
export interface EngineSettings {
  readonly model: string;
  /** How a quantised GGUF is held. */
  readonly weights?: WeightsForm | undefined;
  readonly arithmetic?: Arithmetic | undefined;
  /** What fast arithmetic is compared with exact on: what users may say. */
  readonly guardTexts?: readonly string[] | undefined;
  readonly template: TemplateOption;
  /** Documents known by name: the models they take vectors from are opened with the served one. */
  readonly known?: readonly Omit<QuestionSteering, 'name'>[] | undefined;
  readonly system?: string | undefined;
  /** Rows decoded side by side. */
  readonly batch: number;
  /** Most new tokens a request may have. */
  readonly maxTokens: number;
  /** Largest mean ‖Δ‖/‖h‖ of an edit. */
  readonly maxDose: number;
}

/** What the server must know of the model. */
export interface EngineInfo {
  readonly blocks: number;
  readonly width: number;
  readonly context: number;
  readonly parameters: number;
  /** What the comparison before fast arithmetic found. */
  readonly guarded?: ArithmeticFigures | undefined;
}

export type ToEngine =
  | { readonly type: 'open'; readonly settings: EngineSettings }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'leave'; readonly id: number };

export type FromEngine =
  | { readonly type: 'ready'; readonly info: EngineInfo }
  | { readonly type: 'failed'; readonly message: string; readonly code: ErrorId; readonly input: boolean }
  /** What was said since the last message, and the rows at work. */
  | {
      readonly type: 'said';
      readonly events: readonly { readonly id: number; readonly event: AnswerEvent }[];
      readonly live: number;
    };
