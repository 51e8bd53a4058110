/**
 * @file The server's side of the process that holds the model. Where it dies, those who wait are told, and another is started; ONNX Runtime
 * computes there, so the server itself always answers.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CrosspatchError, InputError, type Owned } from '../../base/index.ts';
import type {
  AnswerEvent,
  EngineInfo,
  EngineSettings,
  FromEngine,
  Question,
  ToEngine,
} from '../../pipeline/index.ts';

const HERE = import.meta.url;

/** Milliseconds before a process that died is replaced, so that one that cannot start does not start all the time. */
const PAUSE = 500;

/** One who waits for an answer. */
interface Listener {
  readonly hear: (event: AnswerEvent) => void;
}

/** See the file's head. */
export class EngineProcess implements Owned {
  readonly #settings: EngineSettings;
  readonly #listeners = new Map<number, Listener>();
  #child: ChildProcess | undefined;
  #info: EngineInfo | undefined;
  #ready = false;
  #closed = false;
  #nextId = 0;
  #starts = 0;
  #live = 0;
  /** Resolved or rejected by the first start. */
  readonly #first = withResolvers<EngineInfo>();

  private constructor(settings: EngineSettings) {
    this.#settings = settings;
  }

  /** Start, and wait for the model. Throws what opening it throws. */
  static async start(settings: EngineSettings): Promise<EngineProcess> {
    const engine = new EngineProcess(settings);
    engine.#start();
    try {
      await engine.#first.promise;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
    return engine;
  }

  get info(): EngineInfo {
    return this.#info as EngineInfo;
  }

  /** Whether a process with an open model is there. */
  get ready(): boolean {
    return this.#ready;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Rows that decode, as last heard. */
  get live(): number {
    return this.#live;
  }

  /** How often another process had to be started. */
  get restarts(): number {
    return Math.max(0, this.#starts - 1);
  }

  /** Answers as they come; when the caller stops listening, the work stops. Throws what went wrong. */
  async *ask(
    question: Question,
    signal?: AbortSignal,
  ): AsyncGenerator<Exclude<AnswerEvent, { type: 'error' }>, void, undefined> {
    if (!this.#ready) throw gone();
    const id = this.#nextId++;
    const heard: AnswerEvent[] = [];
    let wake = (): void => {};
    const hear = (event: AnswerEvent): void => {
      heard.push(event);
      wake();
    };
    const onAbort = (): void => wake();
    this.#listeners.set(id, { hear });
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      this.#tell({ type: 'ask', id, question });
      while (signal?.aborted !== true) {
        const event = heard.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (event.type === 'error') {
          const { message, code, input } = event;
          throw input ? new InputError(message, { id: code }) : new CrosspatchError(message, { id: code });
        }
        yield event;
        if (event.type === 'end') return;
      }
    } finally {
      this.#listeners.delete(id);
      signal?.removeEventListener('abort', onAbort);
      this.#tell({ type: 'leave', id });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#child?.kill('SIGKILL');
  }

  #start(): void {
    this.#starts++;
    const module = fileURLToPath(new URL(`./engine-child${HERE.endsWith('.ts') ? '.ts' : '.js'}`, HERE));
    const child = fork(module, {
      // From source the child needs a TypeScript loader.
      execArgv: module.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    child.on('message', (message: FromEngine) => this.#hear(message));
    child.on('error', (error) => process.stderr.write(`serve: model process: ${String(error)}\n`));
    child.once('exit', () => this.#onExit());
    this.#tell({ type: 'open', settings: this.#settings });
  }

  #hear(message: FromEngine): void {
    if (message.type === 'ready') {
      this.#info = message.info;
      this.#ready = true;
      // From here on the server's socket keeps this process alive, and a child does not.
      this.#child?.unref();
      this.#child?.channel?.unref();
      this.#first.resolve(message.info);
    } else if (message.type === 'failed') {
      const { message: said, code, input } = message;
      this.#closed = this.#info === undefined;
      this.#first.reject(
        input ? new InputError(said, { id: code }) : new CrosspatchError(said, { id: code }),
      );
      this.#child?.kill('SIGKILL');
    } else {
      this.#live = message.live;
      for (const { id, event } of message.events) this.#listeners.get(id)?.hear(event);
    }
  }

  #onExit(): void {
    this.#ready = false;
    this.#live = 0;
    this.#first.reject(gone());
    const { message, id } = gone();
    for (const { hear } of this.#listeners.values()) hear({ type: 'error', message, code: id, input: false });
    if (!this.#closed) setTimeout(() => this.#closed || this.#start(), PAUSE).unref();
  }

  #tell(message: ToEngine): void {
    if (this.#child?.connected === true) this.#child.send(message, () => {});
  }
}

function gone(): CrosspatchError {
  return new CrosspatchError('the process that holds the model ended; another is being started, ask again', {
    id: 'worker-died',
  });
}

function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
