/**
 * @file Maps learnt by gradient: minibatches through one compiled vector-Jacobian product, AdamW on the very buffers the session
 * reads. Standardised: x and y have mean 0 and deviation 1 in every dimension inside the graph, and the result is folded back.
 */
import { minibatches, type PairSource, selectPairs } from '../activations/index.ts';
import { silent, throwIfAborted } from '../base/index.ts';
import type { MapCurves } from '../contracts/index.ts';
import {
  compile,
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
import { Curves } from './curves.ts';
import { type FitContext, type FitData, leftOut } from './fit.ts';
import type { MapBody } from './map.ts';
import { momentsOf } from './moments.ts';
import { type Scaling, scaled } from './scaling.ts';
import { rateAt, type Schedule } from './schedule.ts';

/** A network to train: matrices are called `….weight` [out,in], offsets `….bias`. */
export interface Net {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Initial values; trained in place. */
  readonly parameters: Parameters;
  readonly scaling: Scaling;
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

/** Train `net` in place. */
export async function trainNet(
  net: Net,
  data: FitData,
  schedule: Schedule,
  context: FitContext,
): Promise<Trained> {
  const { signal, onProgress = silent, stage = 'map', rng } = context;
  const leaveOut = leftOut(context.fit, schedule.preset === 'blog');
  const train = selectPairs(data.train, { leaveOut });
  const validation = selectPairs(data.validation, { leaveOut });
  const curves = await Curves.open(net.body, validation, schedule.steps, context);
  const { gram } = await momentsOf(data.train, leaveOut, context);
  const batch = Math.min(schedule.batch, gram.count);
  const stepper = await Stepper.open(net, batch, train, context.threads);
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
    threads: number | undefined,
  ): Promise<Stepper> {
    const { scaling } = net;
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
