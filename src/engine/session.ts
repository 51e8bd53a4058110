/**
 * @file Compiled graphs. A session owns an ONNX Runtime session and its weights; feeding and fetching are by reference, so
 * a preallocated output tensor is written in place.
 */
import { existsSync } from 'node:fs';
import { Tensor as OrtTensor } from 'onnxruntime-node';
import { CrosspatchError, errorLine, InputError, type Owned } from '../base/index.ts';
import { type Graph, leavesOf, type Node, topological } from './graph.ts';
import { discard } from './onnx/discard.ts';
import { type Arithmetic, emitOnnx, type WeightSource } from './onnx/emit.ts';
import { createOrtSession, type Provider, type SharedOrt, shareOrtSession } from './onnx/runtime.ts';
import { graphHash } from './print.ts';
import { bindShape, type DimBindings, resolveDim, shapeText } from './shape.ts';
import { type DType, type Tensor, zeros } from './tensor.ts';

export type { Arithmetic } from './onnx/emit.ts';
export type { Provider } from './onnx/runtime.ts';

/** Options of {@link compile}. */
export interface CompileOptions {
  /** Defaults to `cpu`. */
  readonly provider?: Provider;
  /** Bytes for the graph's `weight` leaves. */
  readonly weights?: Readonly<Record<string, WeightSource>>;
  /** Folder (real path) that holds every file named by an external weight. */
  readonly weightsFolder?: string;
  /** Threads inside one operator. Defaults to the number of cores. */
  readonly threads?: number;
  /** Use the runtime's fused decoder kernels. Defaults to true on `cpu`, false elsewhere (they may be missing). */
  readonly fused?: boolean;
  /** Of products with packed matrices, where the fused kernels are used. Defaults to `exact`. */
  readonly arithmetic?: Arithmetic;
}

const ortType = {
  f32: 'float32',
  f64: 'float64',
  i64: 'int64',
  bool: 'bool',
  f16: 'float16',
  bf16: 'uint16',
  u8: 'uint8',
} as const;
const engineType: Readonly<Record<string, DType>> = {
  float32: 'f32',
  float64: 'f64',
  int64: 'i64',
  bool: 'bool',
  uint8: 'u8',
};

/** An ONNX Runtime tensor around the same bytes. Keep it and feed it again: making one costs more than a small operator. */
export type Handle = OrtTensor;

/** Wrap a tensor for feeding or fetching without copying. */
export function handle(t: Tensor): Handle {
  // The constructor's overloads pair each dtype with its array; a union cannot select one.
  return new OrtTensor(ortType[t.dtype] as 'float32', t.data as Float32Array, t.shape);
}

/** The engine's view of an ONNX Runtime tensor, without copying. */
export function unhandle(h: Handle): Tensor {
  const dtype = engineType[h.type];
  if (dtype === undefined)
    throw new CrosspatchError(`session: output of type ${h.type} is not supported`, { id: 'runtime-failed' });
  return { dtype, shape: h.dims, data: h.data as Float32Array };
}

/** What a session takes: engine tensors or ready handles, by input name. */
export type Feeds = Readonly<Record<string, Tensor | Handle>>;

const none: readonly string[] = [];

/** What one run gives the runtime. */
interface Binding {
  readonly ready: Readonly<Record<string, Handle>>;
  readonly fetches: Readonly<Record<string, Handle | null>>;
  /** Outputs asked for without a target, and how many have one. */
  readonly wanted: readonly string[];
  readonly targets: number;
}

/** A compiled graph. Dispose of it to free its weights and buffers. */
export class Session implements Owned {
  readonly graph: Graph;
  readonly provider: Provider;
  readonly #inputs: ReadonlyMap<string, Node>;
  readonly #all: readonly string[];
  /** Of the last run; weakly, so that no session keeps the memory of what it once ran on. */
  #last: WeakRef<Binding> | undefined;
  #shared: SharedOrt | undefined;
  #running = 0;
  #idle: (() => void) | undefined;

  constructor(graph: Graph, provider: Provider, shared: SharedOrt) {
    this.graph = graph;
    this.provider = provider;
    this.#shared = shared;
    this.#inputs = leavesOf(graph, 'input');
    this.#all = Object.keys(graph.outputs);
  }

  /**
   * Run once. Outputs named in `into` are written there (their shape must be the one inferred); the others are fresh.
   * Returns every output of the graph. Feeds that the graph does not have are ignored.
   *
   * @throws CrosspatchError naming the session and the input or output that is missing or does not fit
   */
  async run(feeds: Feeds, into: Feeds = {}): Promise<Record<string, Tensor>> {
    const result = await this.runHandles(feeds, into);
    return Object.fromEntries(Object.entries(result).map(([name, h]) => [name, unhandle(h)]));
  }

  /** {@link run} without wrapping the outputs; for loops where the wrapping would show. */
  runHandles(feeds: Feeds, into: Feeds = {}): Promise<Readonly<Record<string, Handle>>> {
    return this.#run(feeds, into, this.#all);
  }

  /** Run once for the outputs named in `into` and, fresh, those in `also`; the others are not fetched. Returns both. */
  fill(feeds: Feeds, into: Feeds, also: readonly string[] = none): Promise<Readonly<Record<string, Handle>>> {
    return this.#run(feeds, into, also);
  }

  /** Fetches what `wanted` and `into` name. */
  async #run(
    feeds: Feeds,
    into: Feeds,
    wanted: readonly string[],
  ): Promise<Readonly<Record<string, Handle>>> {
    if (this.#shared === undefined) throw this.#error('already disposed');
    let binding = this.#last?.deref();
    if (binding === undefined || !same(binding, feeds, into, wanted)) {
      binding = this.#bind(feeds, into, wanted);
      this.#last = new WeakRef(binding);
    }
    const { ready, fetches } = binding;
    this.#running++;
    try {
      return inPlace(await this.#shared.ort.run(ready, fetches), fetches);
    } catch (error) {
      const fed = Object.entries(ready).map(
        ([name, h]) => `${name} ${engineType[h.type]}${shapeText(h.dims)}`,
      );
      throw this.#error(`failed on ${this.provider} with ${fed.join(', ')}: ${errorLine(error)}`, error);
    } finally {
      if (--this.#running === 0) this.#idle?.();
    }
  }

  /** Feeds and fetches as the runtime takes them, checked against the graph. */
  #bind(feeds: Feeds, into: Feeds, wanted: readonly string[]): Binding {
    const bindings: DimBindings = new Map();
    const ready: Record<string, Handle> = {};
    for (const [name, n] of this.#inputs) {
      const fed = feeds[name];
      if (fed === undefined) throw this.#error(`input ${name} ${n.dtype}${shapeText(n.shape)} was not fed`);
      const h = isHandle(fed) ? fed : handle(fed);
      if (engineType[h.type] !== n.dtype)
        throw this.#error(`input ${name} wants ${n.dtype}, got ${engineType[h.type] ?? h.type}`);
      // The runtime would broadcast a size that disagrees with another input's instead of refusing it.
      if (!bindQuickly(n.shape, h.dims, bindings))
        bindShape(n.shape, h.dims, bindings, `session ${this.graph.name}: input ${name}`);
      ready[name] = h;
    }
    const fetches: Record<string, Handle | null> = {};
    for (const name of wanted) fetches[name] = null;
    for (const [name, target] of Object.entries(into)) {
      const n = this.graph.outputs[name];
      if (n === undefined)
        throw this.#error(`no output ${name}; it has ${Object.keys(this.graph.outputs).join(', ')}`);
      const h = isHandle(target) ? target : handle(target);
      if (engineType[h.type] !== n.dtype || !n.shape.every((d, i) => resolveDim(d, bindings) === h.dims[i]))
        throw this.#error(
          `output ${name} is ${n.dtype}${shapeText(n.shape.map((d) => resolveDim(d, bindings)))}, its target ${engineType[h.type] ?? h.type}${shapeText(h.dims)}`,
        );
      fetches[name] = h;
    }
    return { ready, fetches, wanted, targets: Object.keys(into).length };
  }

  #error(what: string, cause?: unknown): CrosspatchError {
    return new CrosspatchError(`session ${this.graph.name}: ${what}`, { id: 'runtime-failed', cause });
  }

  /** Zeroed tensors of the outputs' shapes for these feeds, to be passed as `into`. */
  allocate(feeds: Feeds): Record<string, Tensor> {
    const bindings: DimBindings = new Map();
    for (const [name, n] of this.#inputs) {
      const fed = feeds[name];
      if (fed !== undefined) bindShape(n.shape, isHandle(fed) ? fed.dims : fed.shape, bindings, name);
    }
    return Object.fromEntries(
      Object.entries(this.graph.outputs).map(([name, n]) => [
        name,
        zeros(
          n.dtype,
          n.shape.map((d) => resolveDim(d, bindings)),
        ),
      ]),
    );
  }

  /** Refuses further runs, lets those under way end, then frees. */
  async [Symbol.asyncDispose](): Promise<void> {
    const shared = this.#shared;
    this.#shared = undefined;
    if (this.#running > 0) await new Promise<void>((resolve) => void (this.#idle = resolve));
    await shared?.release();
  }
}

/** Whether a run is given the handles of an earlier one: then they fit, and a decode step need not look at each of them again. */
function same(earlier: Binding, feeds: Feeds, into: Feeds, wanted: readonly string[]): boolean {
  if (earlier.wanted.length !== wanted.length || earlier.wanted.some((name, i) => name !== wanted[i]))
    return false;
  for (const name in earlier.ready) if (earlier.ready[name] !== feeds[name]) return false;
  let targets = 0;
  for (const name in into) {
    if (earlier.fetches[name] !== into[name]) return false;
    targets++;
  }
  return targets === earlier.targets;
}

/** Copies below this are left to the collector: freeing one by hand costs a few microseconds. */
const FREED_BY_HAND = 1 << 16;

/** The targets themselves where there were any; the copies that came back for them are freed. */
function inPlace(
  results: Readonly<Record<string, Handle>>,
  fetches: Readonly<Record<string, Handle | null>>,
): Record<string, Handle> {
  const out: Record<string, Handle> = {};
  for (const [name, result] of Object.entries(results)) {
    const target = fetches[name];
    out[name] = target ?? result;
    if (target == null || target.size * 4 < FREED_BY_HAND) continue;
    const copy = (result.data as Float32Array).buffer as ArrayBuffer;
    if (copy !== (target.data as Float32Array).buffer) discard(copy);
  }
  return out;
}

function isHandle(x: Tensor | Handle): x is Handle {
  return x instanceof OrtTensor;
}

/** {@link bindShape} for the common case, without building messages; false when something does not fit. */
function bindQuickly(shape: Node['shape'], sizes: readonly number[], bindings: DimBindings): boolean {
  if (shape.length !== sizes.length) return false;
  for (let i = 0; i < shape.length; i++) {
    const dim = shape[i];
    const want = typeof dim === 'number' ? dim : bindings.get(dim);
    if (want === undefined) bindings.set(dim as string, sizes[i]);
    else if (want !== sizes[i]) return false;
  }
  return true;
}

/**
 * Emit, load and optimise `graph` for a provider. Graphs without weights are kept by hash while someone holds them, so equal
 * ones (two models of one architecture in training, say) share one native session.
 */
export async function compile(graph: Graph, options: CompileOptions = {}): Promise<Session> {
  const { provider = 'cpu', weights = {}, weightsFolder, threads, fused = provider === 'cpu' } = options;
  const { arithmetic = 'exact' } = options;
  if (weightsFolder !== undefined && !existsSync(weightsFolder))
    throw new InputError(`session ${graph.name}: the weights folder ${weightsFolder} does not exist`, {
      id: 'runtime-failed',
    });
  const create = () =>
    createOrtSession(emitOnnx(graph, { target: fused ? 'cpu' : 'portable', weights, arithmetic }), {
      provider,
      threads,
      weightsFolder,
      float64: usesFloat64(graph),
    });
  try {
    if (leavesOf(graph, 'weight').size === 0) {
      const key = `${graphHash(graph)} ${provider} ${threads} ${fused} ${arithmetic}`;
      return new Session(graph, provider, await shareOrtSession(key, create));
    }
    const ort = await create();
    return new Session(graph, provider, { ort, release: () => ort.release() });
  } catch (error) {
    if (error instanceof CrosspatchError) throw error;
    throw new CrosspatchError(
      `session ${graph.name}: the model could not be loaded on ${provider}: ${errorLine(error)}`,
      { id: 'runtime-failed', cause: error },
    );
  }
}

function usesFloat64(graph: Graph): boolean {
  return topological(graph).some((n) => n.dtype === 'f64');
}
