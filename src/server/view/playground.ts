/**
 * @file The playground's side that the server talks to: which models and maps there are, and a worker thread that thinks.
 * The browser names models by id; only bundled ones, those of the runs and those given on the command line exist.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { z } from 'zod';
import { CrosspatchError, InputError, type Owned } from '../../base/index.ts';
import { tinyInstructions } from '../../behaviours/index.ts';
import { bundledModels } from '../../models/index.ts';
import {
  PLAYGROUND_ARMS,
  PLAYGROUND_OPS,
  type PlaygroundChoices,
  type PlaygroundEvent,
  type PlaygroundMap,
  type PlaygroundModel,
  type PlaygroundRequest,
} from './api.ts';
import { Refused } from './refused.ts';
import type { RunsFolder } from './runs-folder.ts';

/** Questions offered. */
const EXAMPLES = 12;

/** Body of `POST /api/playground/run`. */
export const playgroundRequestSchema = z.strictObject({
  model: z.string(),
  text: z.string().min(1).max(20_000),
  trigger: z.enum(['bad', 'safe', 'none']),
  bad: z.string().min(1).max(200),
  safe: z.string().min(1).max(200),
  placement: z.enum(['prefix', 'middle', 'end']),
  template: z.enum(['instruction', 'alpaca', 'chat', 'raw']),
  after: z.int().min(0).max(20),
  block: z.int().min(0),
  op: z.enum(PLAYGROUND_OPS).exactOptional(),
  strength: z.number().min(-10).max(10),
  arms: z.array(z.enum(PLAYGROUND_ARMS)).min(1),
  maxTokens: z.int().min(1).max(400),
  map: z.string().exactOptional(),
  source: z.string().exactOptional(),
}) satisfies z.ZodType<PlaygroundRequest>;

/** What the thread is asked; paths are made here, never by the browser. */
export type WorkerCall =
  | { readonly kind: 'describe'; readonly model: string }
  | {
      readonly kind: 'run';
      readonly request: PlaygroundRequest;
      readonly model: string;
      readonly source?: string;
      readonly map?: string;
    };
export interface WorkerMessage {
  readonly id: number;
  readonly call: WorkerCall;
  /** One Int32: not 0 = stop. Shared, because a running session lets no message in. */
  readonly stop: Int32Array;
}
export type WorkerAnswer =
  | { readonly id: number; readonly event: PlaygroundEvent }
  | { readonly id: number; readonly value: ModelDescription }
  | { readonly id: number; readonly end: true }
  | { readonly id: number; readonly error: string; readonly input: boolean };

/** What a page needs to know of a model before it runs. */
export interface ModelDescription {
  readonly blocks: number;
  readonly width: number;
  /** It has a chat template. */
  readonly chat: boolean;
}

/** Models, maps and one worker thread, started when it is first needed. Calls are carried out one after the other. */
export class Playground implements Owned {
  readonly #runs: RunsFolder;
  readonly #given: readonly string[];
  #worker: Worker | undefined;
  #nextId = 0;

  /** `given`: model paths of the command line. */
  constructor(runs: RunsFolder, given: readonly string[]) {
    this.#runs = runs;
    this.#given = given;
  }

  async choices(): Promise<PlaygroundChoices> {
    const { models, maps } = await this.#all();
    return {
      models: [...models].map(([id, { label }]) => ({ id, label })),
      maps: [...maps.values()].map(({ path: _path, ...map }) => map),
      examples: tinyInstructions({ seed: 17, train: 0, validation: 0, test: EXAMPLES }).map((i) => i.prompt),
    };
  }

  async describe(model: string): Promise<ModelDescription> {
    const path = pathOf((await this.#all()).models, model, 'model');
    for await (const answer of this.#call({ kind: 'describe', model: path }))
      if ('value' in answer) return answer.value;
    throw new CrosspatchError('playground: the worker said nothing');
  }

  /** Events as they come; ends early when `signal` fires. */
  async *run(
    request: PlaygroundRequest,
    signal: AbortSignal,
  ): AsyncGenerator<PlaygroundEvent, void, undefined> {
    const { models, maps } = await this.#all();
    const call: WorkerCall = {
      kind: 'run',
      request,
      model: pathOf(models, request.model, 'model'),
      ...(request.source === undefined ? {} : { source: pathOf(models, request.source, 'model') }),
      ...(request.map === undefined ? {} : { map: pathOf(maps, request.map, 'map') }),
    };
    for await (const answer of this.#call(call, signal)) if ('event' in answer) yield answer.event;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  async *#call(call: WorkerCall, signal?: AbortSignal): AsyncGenerator<WorkerAnswer, void, undefined> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#nextId++;
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const answers: WorkerAnswer[] = [];
    let wake = () => {};
    const onMessage = (answer: WorkerAnswer) => {
      if (answer.id !== id) return;
      answers.push(answer);
      wake();
    };
    const onDeath = () => onMessage({ id, error: 'the model thread ended; try again', input: false });
    const onAbort = () => Atomics.store(stop, 0, 1);
    worker.on('message', onMessage);
    worker.once('exit', onDeath);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      worker.postMessage({ id, call, stop } satisfies WorkerMessage);
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
          throw answer.input ? new InputError(answer.error) : new CrosspatchError(answer.error);
        yield answer;
      }
    } finally {
      onAbort();
      worker.off('message', onMessage);
      worker.off('exit', onDeath);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #start(): Worker {
    const worker = startThread();
    worker.on('error', (error) => process.stderr.write(`view: model thread: ${String(error)}\n`));
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    return worker;
  }

  async #all() {
    const models = new Map<string, PlaygroundModel & { path: string }>();
    const maps = new Map<string, PlaygroundMap & { path: string }>();
    const add = (id: string, label: string, path: string) => models.set(id, { id, label, path });
    for (const { name, path, present } of bundledModels())
      if (present) add(`tiny/${name}`, `${name} (bundled)`, path);
    for (const [i, path] of this.#given.entries()) add(`path/${i}`, basename(path), path);
    for (const run of await this.#runs.list()) {
      if ('problem' in run) continue;
      for (const { rest, path } of await this.#below(run.id, 'models', 'config.json'))
        add(`run/${run.id}/${rest}`, `${rest} (${run.id})`, path);
      for (const { rest, path } of await this.#below(run.id, 'maps', 'map.json')) {
        const map = await readMapCard(path);
        if (map)
          maps.set(`${run.id}/${rest}`, {
            ...map,
            ...madeFor(run.id, rest, map, models),
            id: `${run.id}/${rest}`,
            label: `${rest} (${run.id})`,
            path,
          });
      }
    }
    return { models, maps };
  }

  /** Folders under `run/kind` (at most four deep) that hold `file`, each checked to lie inside the runs folder. */
  async #below(run: string, kind: string, file: string): Promise<{ rest: string; path: string }[]> {
    const found: { rest: string; path: string }[] = [];
    const walk = async (parts: readonly string[]): Promise<void> => {
      const folder = await this.#runs.find(run, kind, ...parts).catch(() => undefined);
      if (folder === undefined || parts.length > 4) return;
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      if (parts.length > 0 && entries.some((entry) => entry.name === file)) {
        if (await this.#runs.find(run, kind, ...parts, file).catch(() => undefined))
          found.push({ rest: parts.join('/'), path: folder });
        return;
      }
      for (const entry of entries)
        if (entry.isDirectory() && !entry.name.startsWith('.')) await walk([...parts, entry.name]);
    };
    await walk([]);
    return found.sort((a, b) => (a.rest < b.rest ? -1 : 1));
  }
}

/** From source the thread needs a TypeScript loader of its own, which it can only get once it runs. */
function startThread(): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url));
  const [loader, thread] = ['tsx/esm/api', './worker.ts'].map((name) =>
    JSON.stringify(import.meta.resolve(name)),
  );
  const code = `import(${loader}).then(({ register }) => { register(); return import(${thread}); })`;
  return new Worker(code, { eval: true, execArgv: [] });
}

/**
 * The models of a map, where a run keeps them under the names of docs/reference/files.md#run-folder: `maps/BEHAVIOUR/LABEL.FIT` beside
 * `models/BEHAVIOUR.source` and `.target`; a map from the clean source starts at the bundled model.
 */
function madeFor(
  run: string,
  rest: string,
  { source }: { readonly source: string },
  models: ReadonlyMap<string, unknown>,
): Pick<PlaygroundMap, 'source_model' | 'target_model'> {
  const behaviour = rest.slice(0, Math.max(0, rest.indexOf('/')));
  const isClean = rest.endsWith('.clean_a');
  const from = isClean ? `tiny/${source}` : `run/${run}/${behaviour}.source`;
  const to = `run/${run}/${behaviour}.target`;
  return {
    ...(models.has(from) ? { source_model: from } : {}),
    ...(models.has(to) ? { target_model: to } : {}),
  };
}

/** What a page shows of a map: the ends of its record. */
async function readMapCard(
  folder: string,
): Promise<Pick<PlaygroundMap, 'source' | 'target' | 'source_block' | 'target_block'> | undefined> {
  const end = z.looseObject({ name: z.string(), block: z.int().min(0) });
  const card = z.looseObject({ source: end, target: end });
  try {
    const { source, target } = card.parse(JSON.parse(await readFile(join(folder, 'map.json'), 'utf8')));
    return {
      source: source.name,
      target: target.name,
      source_block: source.block,
      target_block: target.block,
    };
  } catch {
    return undefined;
  }
}

function pathOf(known: ReadonlyMap<string, { readonly path: string }>, id: string, what: string): string {
  const found = known.get(id);
  if (!found)
    throw new Refused(
      404,
      `${what} ${JSON.stringify(id.slice(0, 80))}: not among those offered; start view with --model PATH to add one`,
    );
  return found.path;
}
