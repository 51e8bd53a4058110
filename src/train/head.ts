/**
 * @file Next-token cross entropy and its gradient, in vocabulary chunks: no [N,V] tensor is ever made (`head-graph.ts`).
 * N predictions, D width, V vocabulary: loss = Σ wₙ (lseₙ − l[labelₙ]); with a teacher Σ wₙ KL(teacherₙ ‖ model), over the whole vocabulary.
 */
import { CrosspatchError, disposeAll, type Owned } from '../base/index.ts';
import { type CompileOptions, compile, type Handle, handle, type Session } from '../engine/index.ts';
import { type ModelConfig, vocabularyChunks } from '../models/index.ts';
import { headGraphs, teacherGraphs } from './head-graph.ts';
import type { TeacherStates } from './teacher.ts';

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
  /** What the model is to say in the place of the labels. Table and gain must then be frozen: the teacher's logits are theirs too. */
  readonly teacher?: TeacherStates | undefined;
}

/** Which gradients of loss · `scale` are wanted besides that of the rows; what is given is overwritten. */
export interface HeadGradients {
  readonly scale: number;
  readonly table?: Float32Array | undefined;
  readonly gain?: Float32Array | undefined;
}

/** What {@link LossHead.run} gives. */
export interface HeadResult {
  /** Σ wₙ · (−ln p(labelₙ)), with a teacher Σ wₙ · KL. */
  readonly loss: number;
  /** Gradient of `loss · gradientScale` towards the rows given, [N,D]; only when asked for. */
  readonly rows?: Float32Array;
}

/** Sessions of the loss towards a teacher. */
interface TeacherSessions {
  readonly forward: Session;
  readonly back: Session;
}

/** The compiled head. */
export class LossHead implements Owned {
  readonly #config: ModelConfig;
  readonly #compile: CompileOptions;
  readonly #chunk: number;
  readonly #norm: Session;
  readonly #normBack: Session;
  readonly #forward: Session;
  readonly #back: Session;
  readonly #backFrozen: Session;
  /** Compiled when first wanted: most runs have no teacher. */
  #teacher: TeacherSessions | undefined;

  private constructor(
    config: ModelConfig,
    compiled: CompileOptions,
    chunk: number,
    sessions: readonly [Session, Session, Session, Session, Session],
  ) {
    this.#config = config;
    this.#compile = compiled;
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
    return new LossHead(c, options, chunk, sessions as [Session, Session, Session, Session, Session]);
  }

  /** The loss; with `back`, gradients too: towards the rows (returned) and into `table` and `gain` where given. */
  async run(
    { x, labels, weights, teacher }: Predictions,
    tensors: HeadTensors,
    back?: HeadGradients,
  ): Promise<HeadResult> {
    const d = this.#config.dModel;
    const n = labels.length;
    if (teacher !== undefined && (back?.table !== undefined || back?.gain !== undefined))
      throw new CrosspatchError('training towards a teacher: the head and the final norm must be frozen', {
        id: 'setting-invalid',
      });
    const xHandle = f32Handle(x, [n, d]);
    const gain = f32Handle(tensors.gain, [d]);
    const g = (await this.#norm.runHandles({ x: xHandle, gain })).g;
    const chunks = vocabularyChunks(this.#config.vocabSize, this.#chunk).map(([from, to]) => ({
      from,
      to,
      w: f32Handle(tensors.table.subarray(from * d, to * d), [to - from, d]),
    }));
    const given = { g, table: tensors.table, chunks, weights };
    const { loss, dg } =
      teacher === undefined
        ? await this.#towardsLabels(given, labels, back)
        : await this.#towardsTeacher(given, this.#teacherFeeds(teacher, tensors.gain, n), back);
    if (back === undefined || dg === undefined) return { loss };
    const { dx, dgain } = await this.#normBack.runHandles({ x: xHandle, gain, dg: f32Handle(dg, [n, d]) });
    back.gain?.set(dgain.data as Float32Array);
    return { loss, rows: dx.data as Float32Array };
  }

  /** Cross entropy with the labels. */
  async #towardsLabels(
    { g, table, chunks, weights }: Given,
    labels: Int32Array,
    back: HeadGradients | undefined,
  ): Promise<Loss> {
    const { dModel: d, logitSoftcap: cap } = this.#config;
    const n = labels.length;
    const values = g.data as Float32Array;
    const lse = new Float64Array(n).fill(Number.NEGATIVE_INFINITY);
    for (const { w } of chunks) addChunk(lse, await this.#forward.runHandles({ g, w }));

    let loss = 0;
    const slopes = new Float32Array(n); // d logit / d z of the label
    for (let i = 0; i < n; i++) {
      let z = 0;
      const from = labels[i] * d;
      for (let j = 0; j < d; j++) z += values[i * d + j] * table[from + j];
      const l = cap === undefined ? z : cap * Math.tanh(z / cap);
      slopes[i] = cap === undefined ? 1 : 1 - (l / cap) ** 2;
      loss += weights[i] * (lse[i] - l);
    }
    if (back === undefined) return { loss };

    const coefficient = weights.map((w) => w * back.scale);
    const shared = {
      g,
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
      addTo(dg, (await session.runHandles({ ...shared, w }, into)).dg);
    }
    for (let i = 0; i < n; i++) {
      const from = labels[i] * d;
      const share = coefficient[i] * slopes[i];
      for (let j = 0; j < d; j++) {
        dg[i * d + j] = dg[i * d + j] - share * table[from + j];
        if (back.table !== undefined) back.table[from + j] = back.table[from + j] - share * values[i * d + j];
      }
    }
    return { loss, dg };
  }

  /** KL(teacher ‖ model) = Σ p (t − l) − lse(t) + lse(l), p = softmax(t). */
  async #towardsTeacher(
    { g, chunks, weights }: Given,
    { h, teacher_lse }: TeacherFeeds,
    back: HeadGradients | undefined,
  ): Promise<Loss> {
    const { forward, back: backward } = await this.#teacherSessions();
    const d = this.#config.dModel;
    const n = weights.length;
    const lse = new Float64Array(n).fill(Number.NEGATIVE_INFINITY);
    const gap = new Float64Array(n);
    for (const { w } of chunks) {
      const part = await forward.runHandles({ g, h, w, teacher_lse });
      addChunk(lse, part);
      (part.gap.data as Float32Array).forEach((x, i) => {
        gap[i] += x;
      });
    }
    const taught = teacher_lse.data as Float32Array;
    const loss = weights.reduce((sum, w, i) => sum + w * (gap[i] - taught[i] + lse[i]), 0);
    if (back === undefined) return { loss };
    const shared = {
      ...{ g, h, teacher_lse },
      lse: f32Handle(Float32Array.from(lse), [n, 1]),
      coefficient: f32Handle(
        weights.map((w) => w * back.scale),
        [n, 1],
      ),
    };
    const dg = new Float32Array(n * d);
    for (const { w } of chunks) addTo(dg, (await backward.runHandles({ ...shared, w })).dg);
    return { loss, dg };
  }

  /** The states of a teacher with the norm's gain, as the head reads them. */
  #teacherFeeds({ states, lse }: TeacherStates, gain: Float32Array, n: number): TeacherFeeds {
    const { dModel: d, normGain } = this.#config;
    const plus = normGain === '1+w' ? 1 : 0;
    const h = states.map((x, i) => x * (plus + gain[i % d]));
    return { h: f32Handle(h, [n, d]), teacher_lse: f32Handle(lse, [n, 1]) };
  }

  async #teacherSessions(): Promise<TeacherSessions> {
    if (this.#teacher === undefined) {
      const graphs = teacherGraphs(this.#config);
      const forward = await compile(graphs.forward, this.#compile);
      this.#teacher = { forward, back: await compile(graphs.back, this.#compile) };
    }
    return this.#teacher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const teacher = this.#teacher === undefined ? [] : [this.#teacher.forward, this.#teacher.back];
    await disposeAll([this.#norm, this.#normBack, this.#forward, this.#back, this.#backFrozen, ...teacher]);
  }
}

/** What both losses are taken of. */
interface Given {
  /** Normalised rows, gain in them, [N,D]. */
  readonly g: Handle;
  /** [V,D]. */
  readonly table: Float32Array;
  readonly chunks: readonly { readonly from: number; readonly to: number; readonly w: Handle }[];
  /** [N] */
  readonly weights: Float32Array;
}

/** A teacher's states with the gain [N,D], and ln Σ exp of its logits [N,1]. */
interface TeacherFeeds {
  readonly h: Handle;
  readonly teacher_lse: Handle;
}

/** The loss, and its gradient towards the normalised rows [N,D] when asked for. */
interface Loss {
  readonly loss: number;
  readonly dg?: Float32Array;
}

/** Take a chunk's exponentials into `lse`. */
function addChunk(lse: Float64Array, { max, sum }: Record<string, Handle>): void {
  for (let i = 0; i < lse.length; i++)
    lse[i] = logAddExp(lse[i], (max.data as Float32Array)[i] + Math.log((sum.data as Float32Array)[i]));
}

function addTo(sum: Float32Array, part: Handle): void {
  const values = part.data as Float32Array;
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + values[i];
}

function f32Handle(data: Float32Array, shape: readonly number[]): Handle {
  return handle({ dtype: 'f32', shape, data });
}

function logAddExp(a: number, b: number): number {
  const max = Math.max(a, b);
  return max === Number.NEGATIVE_INFINITY ? max : max + Math.log(Math.exp(a - max) + Math.exp(b - max));
}
