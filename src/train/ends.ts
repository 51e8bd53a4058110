/** @file What stands before the first block and after the last one in training: the embedding, the head, and their gradients. */
import { CrosspatchError } from '../base/index.ts';
import type { Handle } from '../engine/index.ts';
import { EMBED, FINAL_NORM, HEAD, type ModelConfig } from '../models/index.ts';
import type { Batch } from './batches.ts';
import type { HeadGradients, HeadResult, LossHead } from './head.ts';
import { type Parameters, parameter } from './parameters.ts';
import { valuesOf, type Workspace } from './workspace.ts';

/** See the file's head. B rows of T columns, D width, V vocabulary; weights are read from `parameters` at every call. */
export class ModelEnds {
  readonly #config: ModelConfig;
  readonly #parameters: Parameters;
  readonly #workspace: Workspace;
  readonly #head: LossHead;

  constructor(config: ModelConfig, parameters: Parameters, workspace: Workspace, head: LossHead) {
    this.#config = config;
    this.#parameters = parameters;
    this.#workspace = workspace;
    this.#head = head;
  }

  /** [B,T,D], zero at padding. */
  embed(batch: Batch): Handle {
    const d = this.#config.dModel;
    const table = parameter(this.#parameters, EMBED);
    const handle = this.#workspace.take('start', [batch.segments.length, batch.columns, d]);
    const x = valuesOf(handle).fill(0);
    const s = Math.fround(this.#config.embedScale);
    eachToken(batch, (at) => {
      const id = batch.ids[at];
      if (id >= this.#config.vocabSize)
        throw new CrosspatchError(
          `training batch: token ${id} is outside the vocabulary of ${this.#config.vocabSize}`,
          { id: 'data-invalid' },
        );
      for (let j = 0; j < d; j++) x[at * d + j] = table[id * d + j] * s;
    });
    return handle;
  }

  /** Gradient [V,D] of the embedding from that of its rows, [B,T,D]; added to what `gradient` holds. */
  embedBack(batch: Batch, dx: Float32Array, gradient: Float32Array): void {
    const d = this.#config.dModel;
    const s = Math.fround(this.#config.embedScale);
    eachToken(batch, (at) => {
      const to = batch.ids[at] * d;
      for (let j = 0; j < d; j++) gradient[to + j] = gradient[to + j] + s * dx[at * d + j];
    });
  }

  /** The head on the rows whose prediction counts. */
  async loss(x: Handle, batch: Batch, back?: HeadGradients): Promise<HeadResult> {
    const d = this.#config.dModel;
    const residual = valuesOf(x);
    const { at, id, weight, teacher } = batch.targets;
    if (at.length === 0)
      throw new CrosspatchError('training batch: no token counts towards the loss', { id: 'data-invalid' });
    const rows = valuesOf(this.#workspace.take('head.rows', [at.length, d]));
    for (let i = 0; i < at.length; i++) {
      const from = at[i] * d;
      rows.set(residual.subarray(from, from + d), i * d);
    }
    const tensors = {
      table: parameter(this.#parameters, this.#config.tied ? EMBED : HEAD),
      gain: parameter(this.#parameters, FINAL_NORM),
    };
    return this.#head.run({ x: rows, labels: id, weights: weight, teacher }, tensors, back);
  }

  /** Gradients of the head's rows [N,D] at their places in [B,T,D]; a place may occur once only. */
  scatter(rows: Float32Array, batch: Batch): Handle {
    const d = this.#config.dModel;
    const handle = this.#workspace.take('back.head', [batch.segments.length, batch.columns, d]);
    const dx = valuesOf(handle).fill(0);
    batch.targets.at.forEach((at, i) => {
      dx.set(rows.subarray(i * d, (i + 1) * d), at * d);
    });
    return handle;
  }
}

function eachToken(batch: Batch, visit: (at: number) => void): void {
  batch.segments.forEach((row, b) => {
    for (const [start, end] of row) for (let t = start; t < end; t++) visit(b * batch.columns + t);
  });
}
