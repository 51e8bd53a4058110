/**
 * @file Compiled graphs. A session owns an ONNX Runtime session and its weights; feeding and fetching are by reference, so
 * a preallocated output tensor is written in place.
 *
 * Settings measured on two cores (docs/decisions/0002): many small sessions share the machine only with spinning off and
 * without the memory arena; otherwise idle thread pools fight and the high-water mark doubles.
 */
import { existsSync } from 'node:fs';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { CrosspatchError, errorLine, InputError, type Owned } from '../base/index.ts';
import { type Graph, leavesOf, type Node } from './graph.ts';
import { emitOnnx, type WeightSource } from './onnx/emit.ts';
import { bindShape, type DimBindings, resolveDim, shapeText } from './shape.ts';
import { type DType, type Tensor, zeros } from './tensor.ts';

/** Who does the arithmetic. `cpu` and `webgpu` ship with the package; the rest need a build of ONNX Runtime that has them. */
export type Provider = 'cpu' | 'webgpu' | 'cuda' | 'coreml' | 'dml';

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
}

const ortType = {
  f32: 'float32',
  f64: 'float64',
  i64: 'int64',
  bool: 'bool',
  f16: 'float16',
  bf16: 'uint16',
} as const;
const engineType: Readonly<Record<string, DType>> = {
  float32: 'f32',
  float64: 'f64',
  int64: 'i64',
  bool: 'bool',
};

/** An ONNX Runtime tensor around the same bytes. Keep it and feed it again: making one costs more than a small operator. */
export type Handle = OrtTensor;

/** Wrap a tensor for feeding or fetching without copying. */
export function handle(t: Tensor): Handle {
  // The constructor's overloads pair each dtype with its array; a union cannot select one.
  return new OrtTensor(ortType[t.dtype] as 'float32', t.data as Float32Array, t.shape as number[]);
}

/** The engine's view of an ONNX Runtime tensor, without copying. */
export function unhandle(h: Handle): Tensor {
  const dtype = engineType[h.type];
  if (dtype === undefined) throw new CrosspatchError(`session: output of type ${h.type} is not supported`);
  return { dtype, shape: h.dims, data: h.data as Float32Array };
}

/** What a session takes: engine tensors or ready handles, by input name. */
export type Feeds = Readonly<Record<string, Tensor | Handle>>;

/** A compiled graph. Dispose of it to free its weights and buffers. */
export class Session implements Owned {
  readonly graph: Graph;
  readonly provider: Provider;
  readonly #inputs: ReadonlyMap<string, Node>;
  #ort: InferenceSession | undefined;

  constructor(graph: Graph, provider: Provider, ort: InferenceSession) {
    this.graph = graph;
    this.provider = provider;
    this.#ort = ort;
    this.#inputs = leavesOf(graph, 'input');
  }

  /**
   * Run once. Outputs named in `into` are written there (their shape must be the one inferred); the others are fresh.
   * Returns every output of the graph.
   */
  async run(feeds: Feeds, into: Feeds = {}): Promise<Record<string, Tensor>> {
    const result = await this.runHandles(feeds, into);
    return Object.fromEntries(Object.entries(result).map(([name, h]) => [name, unhandle(h)]));
  }

  /** {@link run} without wrapping the outputs; for loops where the wrapping would show. */
  async runHandles(feeds: Feeds, into: Feeds = {}): Promise<Readonly<Record<string, Handle>>> {
    if (this.#ort === undefined) throw new CrosspatchError(`session ${this.graph.name}: already disposed`);
    const ready: Record<string, Handle> = {};
    for (const name of this.#inputs.keys()) {
      const fed = feeds[name];
      if (fed === undefined)
        throw new CrosspatchError(`session ${this.graph.name}: input ${name} was not fed`);
      ready[name] = isHandle(fed) ? fed : handle(fed);
    }
    const fetches: Record<string, Handle | null> = {};
    for (const name of Object.keys(this.graph.outputs)) {
      const target = into[name];
      fetches[name] = target === undefined ? null : isHandle(target) ? target : handle(target);
    }
    try {
      return await this.#ort.run(ready, fetches);
    } catch (error) {
      throw this.#explain(error, ready);
    }
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

  /** Say which feed does not fit before repeating what the runtime said. */
  #explain(error: unknown, feeds: Readonly<Record<string, Handle>>): CrosspatchError {
    const bindings: DimBindings = new Map();
    try {
      for (const [name, n] of this.#inputs) {
        const fed = feeds[name] as Handle;
        const got = engineType[fed.type];
        if (got !== undefined && got !== n.dtype)
          return new CrosspatchError(
            `session ${this.graph.name}: input ${name} wants ${n.dtype}, got ${got}`,
          );
        bindShape(n.shape, fed.dims, bindings, `session ${this.graph.name}: input ${name}`);
      }
    } catch (mismatch) {
      return mismatch instanceof CrosspatchError ? mismatch : new CrosspatchError(errorLine(mismatch));
    }
    const fed = Object.entries(feeds).map(([name, h]) => `${name} ${h.type}${shapeText(h.dims)}`);
    return new CrosspatchError(
      `session ${this.graph.name} (${this.provider}) failed with ${fed.join(', ')}: ${errorLine(error)}`,
      { cause: error },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ort = this.#ort;
    this.#ort = undefined;
    await ort?.release();
  }
}

function isHandle(x: Tensor | Handle): x is Handle {
  return x instanceof OrtTensor;
}

/** Emit, load and optimise `graph` for a provider. */
export async function compile(graph: Graph, options: CompileOptions = {}): Promise<Session> {
  const provider = options.provider ?? 'cpu';
  const model = emitOnnx(graph, {
    target: provider === 'cpu' ? 'cpu' : 'portable',
    ...(options.weights === undefined ? {} : { weights: options.weights }),
  });
  if (options.weightsFolder !== undefined && !existsSync(options.weightsFolder)) {
    throw new InputError(`session ${graph.name}: the weights folder ${options.weightsFolder} does not exist`);
  }
  try {
    const ort = await InferenceSession.create(model, {
      executionProviders: [provider],
      graphOptimizationLevel: usesFloat64(graph) ? 'basic' : 'all',
      enableCpuMemArena: false,
      logSeverityLevel: 3,
      ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
      extra: {
        session: {
          intra_op: { allow_spinning: '0' },
          ...(options.weightsFolder === undefined
            ? {}
            : { model_external_initializers_file_folder_path: options.weightsFolder }),
        },
      },
    });
    return new Session(graph, provider, ort);
  } catch (error) {
    const line = errorLine(error);
    if (/backend not found|not available|not supported|provider/i.test(line) && provider !== 'cpu') {
      throw new InputError(`provider ${provider} cannot be had on this machine (${line}); use cpu`, {
        cause: error,
      });
    }
    throw new CrosspatchError(`session ${graph.name}: the model could not be loaded: ${line}`, {
      cause: error,
    });
  }
}

/** A SiLU fusion of higher levels has no float64 kernel. */
function usesFloat64(graph: Graph): boolean {
  return [...leavesOf(graph, 'input').values(), ...leavesOf(graph, 'weight').values()].some(
    (n) => n.dtype === 'f64',
  );
}
