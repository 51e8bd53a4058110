/**
 * @file The machine's own limits, measured by the same runtime in the same process: float32 multiply-adds a second in large
 * matrix products, and bytes a second read by streaming through memory with all threads. Every turn tries several ways and
 * counts the best: which one that is changes as a shared machine does, and a share of a weak probe would flatter.
 */
import { disposeAll, type Owned } from '../../base/index.ts';
import {
  compile,
  f32,
  handle,
  input,
  linear,
  matmul,
  reduceMax,
  type Session,
  weight,
} from '../../engine/index.ts';
import type { Task } from './timing.ts';

/** A way to reach a limit, or several. */
export interface Probe extends Owned {
  readonly name: string;
  readonly task: Task;
}

/** Products tried, M × K × N; `weights: constant` lets the runtime lay the right side out beforehand, as model weights are. */
const PRODUCTS = [
  { m: 1024, k: 1024, n: 1024, constant: true },
  { m: 1024, k: 2048, n: 2048, constant: true },
  { m: 2048, k: 2048, n: 2048, constant: false },
] as const;

/** Matrix products; its task's work is in floating-point operations. */
export function bestProduct(): Promise<Probe> {
  return best(PRODUCTS.map((shape) => () => product(shape)));
}

/** Ways to read memory once; its task's work is in bytes. `bytes` should be far above the caches. */
export function bestRead(bytes: number): Promise<Probe> {
  const data = filled(Math.floor(bytes / 4));
  return best([() => readByMax(data), () => readByProduct(data)]);
}

async function product({ m, k, n, constant }: (typeof PRODUCTS)[number]): Promise<Probe> {
  const a = input('a', 'f32', [m, k]);
  const right = filled(k * n);
  const graph = {
    name: 'gemm',
    outputs: { y: matmul(a, constant ? weight('b', 'f32', [k, n]) : input('b', 'f32', [k, n])) },
  };
  const session = await compile(graph, constant ? { weights: { b: f32([k, n], right) } } : {});
  const feeds = {
    a: handle(f32([m, k], filled(m * k))),
    ...(constant ? {} : { b: handle(f32([k, n], right)) }),
  };
  return probe(
    `product ${m}×${k}×${n}${constant ? ', constant weights' : ''}`,
    session,
    feeds,
    2 * m * k * n,
  );
}

async function readByMax(data: Float32Array): Promise<Probe> {
  const rows = 64;
  const columns = Math.floor(data.length / rows);
  const graph = { name: 'read', outputs: { y: reduceMax(input('x', 'f32', [rows, columns]), [1]) } };
  const feeds = { x: handle(f32([rows, columns], data.subarray(0, rows * columns))) };
  return probe('largest of each row', await compile(graph), feeds, rows * columns * 4);
}

async function readByProduct(data: Float32Array): Promise<Probe> {
  const k = 2048;
  const n = Math.floor(data.length / k);
  const graph = {
    name: 'gemv',
    outputs: { y: linear(input('x', 'f32', [1, k]), input('w', 'f32', [n, k])) },
  };
  const feeds = { x: handle(f32([1, k], filled(k))), w: handle(f32([n, k], data.subarray(0, n * k))) };
  return probe('matrix times vector', await compile(graph), feeds, n * k * 4);
}

function probe(
  name: string,
  session: Session,
  feeds: Parameters<Session['runHandles']>[0],
  work: number,
): Probe {
  const into = session.allocate(feeds);
  return {
    name,
    task: async () => {
      await session.runHandles(feeds, into);
      return work;
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  };
}

/** All ways in one probe: a turn runs each once, and its rate is that of the fastest. */
async function best(open: readonly (() => Promise<Probe>)[]): Promise<Probe> {
  const ways: Probe[] = [];
  for (const way of open) ways.push(await way());
  for (const { task } of ways) await task();
  return {
    name: `best of: ${ways.map(({ name }) => name).join('; ')}`,
    task: async () => {
      const started = performance.now();
      let fastest = 0;
      for (const { task } of ways) {
        const from = performance.now();
        fastest = Math.max(fastest, (await task()) / (performance.now() - from));
      }
      return fastest * (performance.now() - started);
    },
    [Symbol.asyncDispose]: () => disposeAll(ways),
  };
}

/** Values in [−0.5, 0.5): no zeros, no denormals, the same each time. */
function filled(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 2654435761) % 4096) / 4096 - 0.5 + 1 / 8192);
}
