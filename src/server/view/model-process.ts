/**
 * @file Child processes that run models for the playground and the steering page: one per model, at most two at a time. A process that says nothing for
 * too long, or does not stop when told, is killed; the next call starts another. So a stuck model never holds up the server, the
 * other model, or Ctrl-C, and one that takes all the memory takes only its own process with it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CrosspatchError, type ErrorId, InputError, type Owned } from '../../base/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import type { ProbeEvent, SteerEvent } from '../../evaluate/index.ts';
import type { MadeVectors, SteerPaths, SteerTexts, SteerVector } from '../../pipeline/index.ts';
import type { PlaygroundCall } from './playground-request.ts';

/** What a child is asked; paths are made by the server, never by the browser. */
export type ChildCall =
  | { readonly kind: 'describe'; readonly model: string }
  | {
      readonly kind: 'run';
      readonly request: PlaygroundCall;
      readonly model: string;
      readonly source?: string;
      readonly map?: string;
    }
  | { readonly kind: 'steer'; readonly model: string; readonly question: SteerPaths }
  | { readonly kind: 'make'; readonly model: string; readonly texts: SteerTexts }
  | {
      readonly kind: 'document';
      readonly model: string;
      readonly vectors: readonly SteerVector[];
      readonly strength: number;
    };

/** What comes back in one piece, by the kind of the call. */
export interface ChildValues {
  readonly describe: ModelDescription;
  readonly make: MadeVectors;
  readonly document: InterventionDocument;
}

export type ToChild =
  | { readonly type: 'call'; readonly id: number; readonly call: ChildCall }
  | { readonly type: 'stop'; readonly id: number };
export type ChildAnswer =
  | { readonly id: number; readonly event: ProbeEvent | SteerEvent }
  | { readonly id: number; readonly value: ChildValues[keyof ChildValues] }
  | { readonly id: number; readonly end: true }
  | { readonly id: number; readonly error: string; readonly code: ErrorId; readonly input: boolean };

/** What a page must know of a model before it asks. */
export interface ModelDescription {
  readonly blocks: number;
  readonly width: number;
  /** It has a chat template. */
  readonly chat: boolean;
  /** Hash of its weights: which maps were made for it. */
  readonly hash: string;
}

export interface ModelProcessOptions {
  /** Seconds without a word after which a child is killed. Defaults to 180: a large model is opened in that time. */
  readonly silence?: number;
  /** Seconds a child has to stop in. Defaults to 5. */
  readonly grace?: number;
  /** Module of the child. Defaults to `model-child`; tests have one that gets stuck. */
  readonly module?: string;
}

/** Models thinking at a time; the one used longest ago is ended for a third. */
const AT_ONCE = 2;
const HERE = import.meta.url;

/** The children, by the path of their model. */
export class ModelProcesses implements Owned {
  readonly #options: Required<ModelProcessOptions>;
  readonly #children = new Map<string, ModelProcess>();

  constructor(options: ModelProcessOptions = {}) {
    const module = fileURLToPath(new URL(`./model-child${HERE.endsWith('.ts') ? '.ts' : '.js'}`, HERE));
    this.#options = { silence: 180, grace: 5, module, ...options };
  }

  /** Answers as they come. Ends early when `signal` fires. */
  async *call(call: ChildCall, signal?: AbortSignal): AsyncGenerator<ChildAnswer, void, undefined> {
    yield* this.#childOf(call.model).call(call, signal);
  }

  /** The one value that a call of this kind gives. */
  async ask<K extends keyof ChildValues>(
    call: Extract<ChildCall, { readonly kind: K }>,
    signal?: AbortSignal,
  ): Promise<ChildValues[K]> {
    for await (const answer of this.call(call, signal))
      if ('value' in answer) return answer.value as ChildValues[K];
    throw new CrosspatchError(`view: the model process said nothing`, { id: 'worker-died' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.values()) child.kill();
    this.#children.clear();
  }

  #childOf(model: string): ModelProcess {
    const known = this.#children.get(model);
    this.#children.delete(model);
    const child = known?.alive ? known : new ModelProcess(this.#options);
    this.#children.set(model, child);
    for (const [oldest, old] of this.#children) {
      if (this.#children.size <= AT_ONCE) break;
      this.#children.delete(oldest);
      old.kill('another model took its place');
    }
    return child;
  }
}

/** One child. Calls are answered one after the other. */
class ModelProcess {
  readonly #child: ChildProcess;
  readonly #options: Required<ModelProcessOptions>;
  #nextId = 0;
  #reason = 'the model process ended (out of memory?); run again to start another';

  constructor(options: Required<ModelProcessOptions>) {
    this.#options = options;
    const isSource = options.module.endsWith('.ts');
    this.#child = fork(options.module, {
      // From source the child needs a TypeScript loader.
      execArgv: isSource ? ['--import', import.meta.resolve('tsx')] : [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('error', (error) => process.stderr.write(`view: model process: ${String(error)}\n`));
    // The server ends when it is told to, whatever a child does.
    this.#child.unref();
    this.#child.channel?.unref();
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.connected;
  }

  kill(reason?: string): void {
    if (reason !== undefined) this.#reason = reason;
    this.#child.kill('SIGKILL');
  }

  async *call(call: ChildCall, signal?: AbortSignal): AsyncGenerator<ChildAnswer, void, undefined> {
    const { silence, grace } = this.#options;
    const id = this.#nextId++;
    const answers: ChildAnswer[] = [];
    let wake = () => {};
    let timer: NodeJS.Timeout | undefined;
    const within = (seconds: number, reason: string) => {
      clearTimeout(timer);
      timer = setTimeout(() => this.kill(reason), seconds * 1000);
    };
    const listen = () =>
      within(silence, `the model said nothing for ${silence} s and was stopped; run again to start another`);
    const onMessage = (answer: ChildAnswer) => {
      // Any word is a sign of life: the child may be at an earlier call.
      if (!signal?.aborted) listen();
      if (answer.id !== id) return;
      answers.push(answer);
      wake();
    };
    const onExit = () => {
      answers.push({ id, error: this.#reason, code: 'worker-died', input: false });
      wake();
    };
    const onAbort = () => {
      this.#say({ type: 'stop', id });
      within(grace, `the model did not stop within ${grace} s and was ended; run again to start another`);
    };
    this.#child.on('message', onMessage);
    this.#child.once('exit', onExit);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      listen();
      this.#say({ type: 'call', id, call });
      if (!this.alive) onExit();
      for (;;) {
        const answer = answers.shift();
        if (answer === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if ('end' in answer) return;
        if ('error' in answer)
          throw answer.input
            ? new InputError(answer.error, { id: answer.code })
            : new CrosspatchError(answer.error, { id: answer.code });
        yield answer;
      }
    } finally {
      clearTimeout(timer);
      this.#say({ type: 'stop', id });
      this.#child.off('message', onMessage);
      this.#child.off('exit', onExit);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #say(message: ToChild): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}
