/**
 * @file Next-token cross entropy and its gradient, in vocabulary chunks: no [N,V] tensor is ever made (`head-graph.ts`).
 * N predictions, D width, V vocabulary: loss = Σ wₙ (lseₙ − l[labelₙ]).
 */
import { disposeAll, type Owned } from '../base/index.ts';
import { type CompileOptions, compile, type Handle, handle, type Session } from '../engine/index.ts';
import { type ModelConfig, vocabularyChunks } from '../models/index.ts';
import { headGraphs } from './head-graph.ts';

/** Vocabulary rows a session call sees: 512 predictions × 8192 rows are 16 MB. */
const CHUNK = 8192;

/** The table the loss reads and where its gradient goes. */
interface HeadTensors {
  /** Head (or tied embedding) [V,D]. */
  readonly table: Float32Array;
  /** Final norm's gain [D]. */
  readonly gain: Float32Array;
}

/** What the loss is taken of. */
interface Predictions {
  /** Residual after the last block, [N,D]. */
  readonly x: Float32Array;
  /** [N] */
  readonly labels: Int32Array;
  /** [N] */
  readonly weights: Float32Array;
}

/** Which gradients of loss · `scale` are wanted besides that of the rows; what is given is overwritten. */
export interface HeadGradients {
  readonly scale: number;
  readonly table?: Float32Array | undefined;
  readonly gain?: Float32Array | undefined;
}

/** What {@link LossHead.run} gives. */
export interface HeadResult {
  /** Σ wₙ · (−ln p(labelₙ)). */
  readonly loss: number;
  /** Gradient of `loss · gradientScale` towards the rows given, [N,D]; only when asked for. */
  readonly rows?: Float32Array;
}

/** The compiled head. */
export class LossHead implements Owned {
  readonly #config: ModelConfig;
  readonly #chunk: number;
  readonly #norm: Session;
  readonly #normBack: Session;
  readonly #forward: Session;
  readonly #back: Session;
  readonly #backFrozen: Session;

  private constructor(
    config: ModelConfig,
    chunk: number,
    sessions: readonly [Session, Session, Session, Session, Session],
  ) {
    this.#config = config;
    this.#chunk = chunk;
    [this.#norm, this.#normBack, this.#forward, this.#back, this.#backFrozen] = sessions;
  }

  /** `chunk` is for tests. */
  static async open(c: ModelConfig, options: CompileOptions, chunk = CHUNK): Promise<LossHead> {
    const { norm, normBack, forward, back, backFrozen } = headGraphs(c);
    const sessions: Session[] = [];
    try {
      for (const graph of [norm, normBack, forward, back, backFrozen])
        sessions.push(await compile(graph, options));
    } catch (error) {
      await disposeAll(sessions);
      throw error;
    }
    return new LossHead(c, chunk, sessions as [Session, Session, Session, Session, Session]);
  }

  /** The loss; with `back`, gradients too: towards the rows (returned) and into `table` and `gain` where given. */
  async run(
    { x, labels, weights }: Predictions,
    tensors: HeadTensors,
    back?: HeadGradients,
  ): Promise<HeadResult> {
    const c = this.#config;
    const d = c.dModel;
    const n = labels.length;
    const xHandle = f32Handle(x, [n, d]);
    const gain = f32Handle(tensors.gain, [d]);
    const gHandle = (await this.#norm.runHandles({ x: xHandle, gain })).g;
    const g = gHandle.data as Float32Array;

    const chunks = vocabularyChunks(c.vocabSize, this.#chunk).map(([from, to]) => ({
      from,
      to,
      w: f32Handle(tensors.table.subarray(from * d, to * d), [to - from, d]),
    }));
    const lse = new Float64Array(n).fill(Number.NEGATIVE_INFINITY);
    for (const { w } of chunks) {
      const { max, sum } = await this.#forward.runHandles({ g: gHandle, w });
      for (let i = 0; i < n; i++) {
        const part = (max.data as Float32Array)[i] + Math.log((sum.data as Float32Array)[i]);
        lse[i] = logAddExp(lse[i], part);
      }
    }

    let loss = 0;
    const slopes = new Float32Array(n); // d logit / d z of the label
    for (let i = 0; i < n; i++) {
      let z = 0;
      const from = labels[i] * d;
      for (let j = 0; j < d; j++) z += g[i * d + j] * tensors.table[from + j];
      const cap = c.logitSoftcap;
      const l = cap === undefined ? z : cap * Math.tanh(z / cap);
      slopes[i] = cap === undefined ? 1 : 1 - (l / cap) ** 2;
      loss += weights[i] * (lse[i] - l);
    }
    if (back === undefined) return { loss };

    const coefficient = weights.map((w) => w * back.scale);
    const shared = {
      g: gHandle,
      lse: f32Handle(Float32Array.from(lse), [n, 1]),
      coefficient: f32Handle(coefficient, [n, 1]),
    };
    const dg = new Float32Array(n * d);
    for (const { from, to, w } of chunks) {
      const session = back.table === undefined ? this.#backFrozen : this.#back;
      const into: Record<string, Handle> =
        back.table === undefined
          ? {}
          : { dw: f32Handle(back.table.subarray(from * d, to * d), [to - from, d]) };
      const part = (await session.runHandles({ ...shared, w }, into)).dg.data as Float32Array;
      for (let i = 0; i < dg.length; i++) dg[i] = dg[i] + part[i];
    }
    for (let i = 0; i < n; i++) {
      const from = labels[i] * d;
      const share = coefficient[i] * slopes[i];
      for (let j = 0; j < d; j++) {
        dg[i * d + j] = dg[i * d + j] - share * tensors.table[from + j];
        if (back.table !== undefined) back.table[from + j] = back.table[from + j] - share * g[i * d + j];
      }
    }
    const { dx, dgain } = await this.#normBack.runHandles({ x: xHandle, gain, dg: f32Handle(dg, [n, d]) });
    back.gain?.set(dgain.data as Float32Array);
    return { loss, rows: dx.data as Float32Array };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll([this.#norm, this.#normBack, this.#forward, this.#back, this.#backFrozen]);
  }
}

function f32Handle(data: Float32Array, shape: readonly number[]): Handle {
  return handle({ dtype: 'f32', shape, data });
}

function logAddExp(a: number, b: number): number {
  const max = Math.max(a, b);
  return max === Number.NEGATIVE_INFINITY ? max : max + Math.log(Math.exp(a - max) + Math.exp(b - max));
}
