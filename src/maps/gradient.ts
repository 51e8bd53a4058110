/**
 * @file Maps learnt by gradient: minibatches through one compiled vector-Jacobian product, AdamW on the very buffers the session
 * reads. Standardised: x and y have mean 0 and deviation 1 in every dimension inside the graph, and the result is folded back.
 */
import {
  collectPairs,
  minibatches,
  type PairRows,
  type PairSource,
  selectPairs,
} from '../activations/index.ts';
import { Rng, silent, throwIfAborted } from '../base/index.ts';
import type { MapCurves } from '../contracts/index.ts';
import {
  compile,
  constant,
  f32,
  gradGraph,
  type Handle,
  handle,
  input,
  mul,
  type Node,
  reduceSum,
  type Session,
  scalar,
  sub,
} from '../engine/index.ts';
import { AdamW, type Parameters } from '../train/index.ts';
import { rowFigures } from './figures.ts';
import { type FitContext, type FitData, leftOut } from './fit.ts';
import type { Gram } from './linalg.ts';
import type { MapBody } from './map.ts';
import { momentsOf } from './moments.ts';

/** Settings of maps learnt by gradient; what is not given comes from the preset. */
export interface GradientSettings {
  /**
   * `tuned` (default): standardised, lr 2e-3 falling as a cosine after 5 % warm-up, 1,500 steps. `blog`: the authors' raw activations
   * with position 0 and sinks, constant lr 1e-4, 3 epochs (or 1,500 steps where that is more: on few rows three epochs are a straw man).
   */
  readonly preset?: 'tuned' | 'blog' | undefined;
  readonly learning_rate?: number | undefined;
  /** Optimizer steps; wins over `epochs`. */
  readonly steps?: number | undefined;
  readonly epochs?: number | undefined;
  /** Rows a step. Defaults to 2048. */
  readonly batch?: number | undefined;
  readonly standardize?: boolean | undefined;
}

/** {@link GradientSettings} with nothing left open. */
interface Schedule {
  readonly preset: 'tuned' | 'blog';
  readonly learningRate: number;
  readonly steps: number;
  readonly batch: number;
  readonly standardize: boolean;
}

/** Fill in the preset for `rows` training rows. */
export function scheduleOf(settings: GradientSettings, rows: number): Schedule {
  const { preset = 'tuned', batch = 2048 } = settings;
  const epochs = (n: number): number => Math.max(1, Math.ceil((n * rows) / batch));
  const usual = preset === 'blog' ? Math.max(1500, epochs(3)) : 1500;
  return {
    preset,
    batch,
    learningRate: settings.learning_rate ?? (preset === 'blog' ? 1e-4 : 2e-3),
    steps: settings.steps ?? (settings.epochs === undefined ? usual : epochs(settings.epochs)),
    standardize: settings.standardize ?? preset === 'tuned',
  };
}

/** Mean and scale of each dimension on both sides: 0 and 1 when nothing is standardised. */
export interface Scaling {
  readonly meanX: Float64Array;
  readonly scaleX: Float64Array;
  readonly meanY: Float64Array;
  readonly scaleY: Float64Array;
}

export function scalingOf(gram: Gram, standardize: boolean): Scaling {
  const ones = (d: number): Float64Array => new Float64Array(d).fill(1);
  if (!standardize)
    return {
      meanX: new Float64Array(gram.dx),
      scaleX: ones(gram.dx),
      meanY: new Float64Array(gram.dy),
      scaleY: ones(gram.dy),
    };
  const deviationY = gram.yyDiagonal.map((s) => Math.sqrt(Math.max(0, s) / gram.count));
  return {
    meanX: gram.meanX,
    scaleX: floored(gram.deviationX()),
    meanY: gram.meanY,
    scaleY: floored(deviationY),
  };
}

/** Deviations, none below 1e-6 of the largest: a dimension that never varies is not blown up. */
function floored(deviation: Float64Array): Float64Array {
  const least = 1e-6 * deviation.reduce((a, b) => Math.max(a, b), 0) || 1;
  return deviation.map((s) => Math.max(s, least));
}

/** A network to train: matrices are called `….weight` [out,in], offsets `….bias`. */
export interface Net {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Initial values; trained in place. */
  readonly parameters: Parameters;
  /** Scaled x [N,dx] → scaled ŷ [N,dy]. */
  readonly forward: (x: Node, parameter: (name: string) => Node) => Node;
  /** The map on raw rows that the current parameters make. */
  readonly body: () => MapBody;
}

/** What training gives beside the parameters. */
interface Trained {
  readonly seconds: number;
  readonly curves: MapCurves;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Validation rows behind a point of the curves. */
const CURVE_ROWS = 2048;

/** Train `net` in place. */
export async function trainNet(
  net: Net,
  data: FitData,
  schedule: Schedule,
  scaling: Scaling,
  context: FitContext,
): Promise<Trained> {
  const { signal, onProgress = silent, stage = 'map', rng } = context;
  const leaveOut = leftOut(context.fit, schedule.preset === 'blog');
  const train = selectPairs(data.train, { leaveOut });
  const curves = await Curves.open(net, data.validation, leaveOut, schedule, context);
  const { gram } = await momentsOf(data.train, leaveOut, context);
  const batch = Math.min(schedule.batch, gram.count);
  const stepper = await Stepper.open(net, batch, train, scaling, context.threads);
  try {
    const blog = schedule.preset === 'blog';
    const optimizer = new AdamW(net.parameters, blog ? { betas: [0.9, 0.999] } : {});
    await curves.at(0, 0);
    let seconds = 0;
    let from = performance.now();
    let step = 0;
    for await (const { x, y } of minibatches(train, { batch, rng: rng.fork('minibatches') })) {
      throwIfAborted(signal, stage);
      if (step === 0) from = performance.now(); // the first reading of the rows is capture, not fitting
      step++;
      const loss = await stepper.gradients(x, y);
      const rate = rateAt(step, schedule);
      optimizer.update(net.parameters, stepper.gradientsByName, { step, rate: () => rate });
      if (step % 25 === 0 || step === schedule.steps)
        onProgress({ stage, done: step, total: schedule.steps, unit: 'steps', figures: { loss } });
      if (curves.wants(step)) {
        seconds += (performance.now() - from) / 1000;
        await curves.at(step, seconds);
        from = performance.now();
      }
      if (step === schedule.steps) break;
    }
    return { seconds, curves: curves.table(), metrics: curves.last };
  } finally {
    await stepper.session[Symbol.asyncDispose]();
  }
}

/** Constant for `blog`; else up over the first 5 % and down to nothing as a cosine. */
function rateAt(step: number, { preset, learningRate, steps }: Schedule): number {
  if (preset === 'blog') return learningRate;
  const warmup = Math.max(1, Math.round(0.05 * steps));
  if (step <= warmup) return (learningRate * step) / warmup;
  return (learningRate * (1 + Math.cos((Math.PI * (step - warmup)) / (steps - warmup + 1)))) / 2;
}

/** Gradients of the mean squared error of a minibatch, into buffers that stay. */
class Stepper {
  readonly session: Session;
  readonly gradientsByName: Parameters;
  readonly #weights: Readonly<Record<string, Handle>>;
  readonly #into: Readonly<Record<string, Handle>>;
  readonly #sizes: readonly [n: number, dx: number, dy: number];

  private constructor(session: Session, net: Net, sizes: readonly [number, number, number]) {
    this.session = session;
    this.gradientsByName = new Map([...net.parameters].map(([k, v]) => [k, new Float32Array(v.length)]));
    const handles = (values: Parameters, prefix: string): Record<string, Handle> =>
      Object.fromEntries(
        [...values].map(([name, data]) => [
          `${prefix}${name}`,
          handle({ dtype: 'f32', shape: net.shapes[name], data }),
        ]),
      );
    this.#weights = handles(net.parameters, '');
    this.#into = handles(this.gradientsByName, 'grad.');
    this.#sizes = sizes;
  }

  static async open(
    net: Net,
    n: number,
    { dx, dy }: PairSource,
    scaling: Scaling,
    threads: number | undefined,
  ): Promise<Stepper> {
    const made = new Map<string, Node>();
    const parameter = (name: string): Node => {
      const node = made.get(name) ?? input(name, 'f32', net.shapes[name]);
      made.set(name, node);
      return node;
    };
    const x = scaled(input('x', 'f32', [n, dx]), scaling.meanX, scaling.scaleX);
    const y = scaled(input('y', 'f32', [n, dy]), scaling.meanY, scaling.scaleY);
    const error = sub(net.forward(x, parameter), y); // [N,dy]
    const loss = reduceSum(mul(error, error), [0, 1]); // []
    const graph = gradGraph({
      name: 'map.train',
      forward: { name: 'map', outputs: { loss } },
      seeds: { loss: scalar(1 / (n * dy), 'f32') },
      wrt: Object.keys(net.shapes),
      keep: ['loss'],
    });
    const session = await compile(graph, { threads });
    return new Stepper(session, net, [n, dx, dy]);
  }

  /** Fills {@link gradientsByName}; returns the loss, Σ‖ŷ−y‖²/(n dy) in the net's scale. */
  async gradients(x: Float32Array, y: Float32Array): Promise<number> {
    const [n, dx, dy] = this.#sizes;
    const { loss } = await this.session.runHandles(
      {
        ...this.#weights,
        x: handle({ dtype: 'f32', shape: [n, dx], data: x }),
        y: handle({ dtype: 'f32', shape: [n, dy], data: y }),
      },
      this.#into,
    );
    return (loss.data as Float32Array)[0] / (n * dy);
  }
}

/** (x − mean) / scale, left alone where that does nothing. */
function scaled(x: Node, mean: Float64Array, scale: Float64Array): Node {
  if (mean.every((m) => m === 0) && scale.every((s) => s === 1)) return x;
  const d = mean.length;
  return mul(
    sub(x, constant(f32([d], mean))),
    constant(
      f32(
        [d],
        scale.map((s) => 1 / s),
      ),
    ),
  );
}

type CurveRows = Pick<PairRows, 'n' | 'x' | 'y'>;

/** Figures over steps, on a fixed sample of validation rows in raw units. */
class Curves {
  readonly #net: Net;
  readonly #rows: CurveRows;
  readonly #points: ReadonlySet<number>;
  readonly #evaluate: FitContext['evaluate'];
  readonly #table = new Map<string, (number | null)[]>();
  last: Readonly<Record<string, number>> = {};

  private constructor(net: Net, rows: CurveRows, points: ReadonlySet<number>, context: FitContext) {
    this.#net = net;
    this.#rows = rows;
    this.#points = points;
    this.#evaluate = context.evaluate;
  }

  static async open(
    net: Net,
    validation: PairSource,
    leaveOut: number,
    { steps }: Schedule,
    context: FitContext,
  ): Promise<Curves> {
    const rng = new Rng(0).fork('curve rows'); // the same sample for every map and seed
    const rows = await collectPairs(selectPairs(validation, { leaveOut }), { maxRows: CURVE_ROWS, rng });
    const count = Math.max(2, context.curvePoints ?? 12);
    const points = new Set(
      Array.from({ length: count }, (_, k) => Math.round(steps * (k / (count - 1)) ** 2)),
    );
    return new Curves(net, rows, points, context);
  }

  wants(step: number): boolean {
    return this.#points.has(step);
  }

  async at(step: number, seconds: number): Promise<void> {
    const body = this.#net.body();
    const { n, x, y } = this.#rows;
    const own = rowFigures(body.apply(x, n), y, n, y.length / n);
    this.last = { ...own, ...(await this.#evaluate?.(body)) };
    const row: Record<string, number> = { step, fit_seconds: seconds, ...this.last };
    for (const [key, value] of Object.entries(row)) {
      const column = this.#table.get(key) ?? [];
      this.#table.set(key, column);
      column.push(Number.isFinite(value) ? value : null);
    }
  }

  table(): MapCurves {
    return Object.fromEntries(this.#table) as MapCurves;
  }
}
