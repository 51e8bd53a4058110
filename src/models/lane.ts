/** @file One prompt that is completed among others: what is asked, what is said of it, and how far it is. */
import { type CrosspatchError, InputError, Rng } from '../base/index.ts';
import type { Decoder } from './decoder/decoder.ts';
import { type FwdHook, HookTable, hookName, parseHookName } from './hooks.ts';
import { logSumExp, Sampler, type SamplingOptions } from './sampling.ts';
import { StopText } from './stop-text.ts';
import type { DecodeStream, Tokenizer } from './tokenizer/index.ts';

/** One prompt to be completed. */
export interface LaneRequest extends SamplingOptions {
  readonly ids: readonly number[];
  /** 0: the prompt is only read. */
  readonly maxNewTokens: number;
  /** Defaults to 0. */
  readonly seed?: number | undefined;
  /** Defaults to the tokenizer's. */
  readonly stopTokens?: readonly number[] | undefined;
  readonly stopStrings?: readonly string[] | undefined;
  /** Name this many of the likeliest tokens with each new one, and its own log-probability. 0: only its own. Defaults to neither. */
  readonly logprobs?: number | undefined;
  /** The same for the prompt's own tokens. Defaults to false. */
  readonly scorePrompt?: boolean | undefined;
  /** Know the prompt as row 0. A prompt with hooks is read in one pass, whatever its length. */
  readonly fwdHooks?: readonly FwdHook[] | undefined;
  /** Called once with the logits [V] after the prompt, with the hooks and without. The views are used again after it has returned. */
  readonly onFirst?: ((withHooks: Float32Array, plain: Float32Array) => void) | undefined;
}

/** A token with its log-probability at temperature 1, natural logarithm, and the likeliest in its place. */
export interface ScoredToken {
  readonly id: number;
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

/** What becomes of a request, in order. After `finish` or `error` nothing more comes. */
export type LaneEvent =
  /** Scores of the prompt's tokens from the second on: nothing precedes the first. */
  | { readonly type: 'prompt'; readonly scores: readonly ScoredToken[] }
  /** A token, and the text it completed (may be empty inside a character). A token that ends the answer is not part of it and comes without `id`. */
  | {
      readonly type: 'token';
      readonly id?: number;
      readonly text: string;
      readonly score?: ScoredToken | undefined;
      readonly finish?: 'stop' | 'length';
    }
  | { readonly type: 'error'; readonly error: unknown };

/** One request under way. */
export class Lane {
  readonly request: LaneRequest;
  readonly emit: (event: LaneEvent) => void;
  readonly hooks: HookTable | undefined;
  readonly names: readonly string[];
  readonly sampler: Sampler;
  readonly stops: ReadonlySet<number>;
  readonly draws: Rng;
  readonly text: StopText;
  readonly stream: DecodeStream;
  /** New tokens so far. */
  made = 0;
  /** The newest token, to be read next. */
  last = 0;
  over = false;
  failure: unknown;

  constructor(
    request: LaneRequest,
    emit: (event: LaneEvent) => void,
    { tokenizer, decoder }: { readonly tokenizer: Tokenizer; readonly decoder: Decoder },
  ) {
    const { fwdHooks = [], seed = 0, stopTokens = tokenizer.eosIds, stopStrings = [] } = request;
    this.request = request;
    this.emit = emit;
    this.hooks = fwdHooks.length === 0 ? undefined : new HookTable(fwdHooks, decoder.nLayers);
    this.names = [...new Set(fwdHooks.map(([name]) => hookName(parseHookName(name, decoder.nLayers))))];
    this.sampler = new Sampler(request);
    this.stops = new Set(stopTokens);
    this.draws = new Rng(seed).fork('row 0');
    this.text = new StopText(stopStrings);
    this.stream = tokenizer.decodeStream({ skipSpecialTokens: true });
  }

  /** Whether only the best token is needed of the logits. */
  get choiceOnly(): boolean {
    return this.sampler.greedy && this.request.logprobs === undefined;
  }

  say(event: LaneEvent): void {
    if (this.over) return;
    if (event.type === 'error' || (event.type === 'token' && event.finish !== undefined)) this.over = true;
    this.emit(event);
  }

  /** The token after the last one: said, or the end. */
  take(id: number, score: ScoredToken | undefined): void {
    this.made++;
    this.last = id;
    if (this.stops.has(id)) {
      const text = this.text.push(this.stream.flush()) + this.text.flush();
      this.say({ type: 'token', text, finish: 'stop' });
      return;
    }
    let text = this.text.push(this.stream.push(id));
    const full = this.made === this.request.maxNewTokens;
    if (full) text += this.text.push(this.stream.flush());
    if (this.text.stopped) this.say({ type: 'token', text, finish: 'stop' });
    else if (full) this.say({ type: 'token', id, text: text + this.text.flush(), score, finish: 'length' });
    else this.say({ type: 'token', id, text, score });
  }
}

/** The error of a row whose activations overflow. */
export function notANumber(): CrosspatchError {
  return new InputError('steering: an activation overflows, or is not a number; take a smaller strength', {
    id: 'not-a-number',
  });
}

/** A token's log-probability and the `k` likeliest, by one pass and a selection. */
export function scored(logits: Float32Array, id: number, k: number): ScoredToken {
  const normaliser = logSumExp(logits);
  const top: { id: number; logprob: number }[] = [];
  if (k > 0)
    for (let i = 0; i < logits.length; i++) {
      const logprob = (logits[i] as number) - normaliser;
      if (top.length === k && logprob <= (top[k - 1] as { logprob: number }).logprob) continue;
      const at = top.findIndex((other) => logprob > other.logprob);
      top.splice(at < 0 ? top.length : at, 0, { id: i, logprob });
      if (top.length > k) top.pop();
    }
  return { id, logprob: (logits[id] as number) - normaliser, top };
}
