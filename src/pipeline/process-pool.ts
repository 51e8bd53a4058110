/**
 * @file Child processes that run stages by name: ONNX Runtime blocks the event loop it runs on, so work that should
 * go on side by side needs processes. A child lives on for the next call, dies with its parent, and ignores Ctrl-C and
 * the signals that end a session: the parent tells it to stop.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { AbortedError, CrosspatchError, type Owned, type ProgressSink } from '../base/index.ts';
import { type RemoteError, revive } from './remote-error.ts';

/** A child ended in the middle of a call: killed, or out of memory. Another try may work. */
export class WorkerDiedError extends CrosspatchError {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, { ...options, id: 'worker-died' });
  }
}

/** What a child is asked to do: `run` of the export of `module` whose `name` is `name`. `payload` must survive structured cloning. */
export interface RemoteCall {
  readonly module: string;
  readonly name: string;
  readonly payload: unknown;
}

export type ToChild = ({ type: 'run'; id: number } & RemoteCall) | { type: 'abort'; id: number };
export type FromChild =
  | { type: 'progress'; id: number; event: Parameters<ProgressSink>[0] }
  | { type: 'done'; id: number; value: unknown; rss: number }
  | { type: 'error'; id: number; error: RemoteError; rss: number };

interface Waiting {
  readonly call: RemoteCall;
  readonly onProgress: ProgressSink | undefined;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** How long a child may take to stop by itself before it is killed, in milliseconds. */
const GRACE_MS = 3000;

/** At most `size` children; calls beyond that wait their turn. */
export class ProcessPool implements Owned {
  readonly size: number;
  readonly #idle: ChildProcess[] = [];
  readonly #all = new Set<ChildProcess>();
  readonly #waiting: Waiting[] = [];
  readonly #peak = new Map<ChildProcess, number>();
  #nextId = 0;
  #closed = false;

  constructor(size: number) {
    this.size = size;
  }

  /** Process ids of the children that are up. */
  get pids(): number[] {
    return [...this.#all].flatMap((child) => child.pid ?? []);
  }

  /** Sum over children of the most memory each ever held, bytes. */
  get peakMemoryBytes(): number {
    return [...this.#peak.values()].reduce((a, b) => a + b, 0);
  }

  /** Run a call in a child. Throws what it threw, {@link WorkerDiedError} when the child ended, `AbortedError` on `signal`. */
  run(call: RemoteCall, options: { signal?: AbortSignal; onProgress?: ProgressSink } = {}): Promise<unknown> {
    if (this.#closed)
      return Promise.reject(
        new CrosspatchError(`${call.name}: the process pool is closed`, { id: 'internal' }),
      );
    return new Promise((resolve, reject) => {
      const { signal, onProgress } = options;
      this.#waiting.push({ call, signal, onProgress, resolve, reject });
      this.#serve();
    });
  }

  #serve(): void {
    while (this.#waiting.length > 0 && (this.#idle.length > 0 || this.#all.size < this.size)) {
      const next = this.#waiting.shift() as Waiting;
      if (next.signal?.aborted) next.reject(new AbortedError(next.call.name));
      else this.#start(this.#idle.pop() ?? this.#spawn(), next);
    }
  }

  #spawn(): ChildProcess {
    const child = fork(entry(), [], {
      execArgv: loader(),
      serialization: 'advanced',
      stdio: ['ignore', 2, 2, 'ipc'],
    });
    this.#all.add(child);
    child.once('exit', () => {
      this.#all.delete(child);
      const at = this.#idle.indexOf(child);
      if (at >= 0) this.#idle.splice(at, 1);
    });
    return child;
  }

  #start(child: ChildProcess, { call, signal, onProgress, resolve, reject }: Waiting): void {
    const id = this.#nextId++;
    let killer: NodeJS.Timeout | undefined;
    const settle = (finish: () => void, alive: boolean) => {
      clearTimeout(killer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', onError);
      signal?.removeEventListener('abort', onAbort);
      if (alive) this.#idle.push(child);
      finish();
      this.#serve();
    };
    const onMessage = (message: FromChild) => {
      if (message.id !== id) return;
      if (message.type === 'progress') onProgress?.(message.event);
      else {
        this.#peak.set(child, Math.max(this.#peak.get(child) ?? 0, message.rss));
        if (message.type === 'done') settle(() => resolve(message.value), true);
        else
          settle(() => reject(signal?.aborted ? new AbortedError(call.name) : revive(message.error)), true);
      }
    };
    const onExit = (code: number | null, killedBy: NodeJS.Signals | null) => {
      this.#all.delete(child);
      const how = killedBy
        ? `by ${killedBy}${killedBy === 'SIGKILL' ? ' (out of memory?)' : ''}`
        : `with ${code}`;
      const error = signal?.aborted
        ? new AbortedError(call.name)
        : new WorkerDiedError(`${call.name}: its process ended ${how}; run again to go on from here`);
      settle(() => reject(error), false);
    };
    const onError = (cause: Error) => {
      if (child.connected) return;
      settle(
        () => reject(new WorkerDiedError(`${call.name}: its process could not be reached`, { cause })),
        false,
      );
    };
    const onAbort = () => {
      if (child.connected) child.send({ type: 'abort', id } satisfies ToChild, () => {});
      killer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
    };
    child.on('message', onMessage);
    child.once('exit', onExit);
    child.on('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
    child.send({ type: 'run', id, ...call } satisfies ToChild);
  }

  /** End all children and wait for it; calls still open are rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { call, reject } of this.#waiting.splice(0)) reject(new AbortedError(call.name));
    await Promise.all(
      [...this.#all].map(
        (child) =>
          new Promise<void>((resolve) => {
            child.once('exit', () => resolve());
            child.kill('SIGKILL');
          }),
      ),
    );
  }
}

function entry(): URL {
  return new URL(`./child.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);
}

/** From source, children need the same TypeScript loader as the developer commands. */
function loader(): string[] {
  if (!import.meta.url.endsWith('.ts')) return [];
  return ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href];
}
