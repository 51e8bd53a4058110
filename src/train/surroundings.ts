/** @file What every block of a run sees besides the residual: masks and rotary angles of a batch. */
import { type Handle, handle, zeros } from '../engine/index.ts';
import { fillMask, type ModelConfig, type RopeConfig, RopeTable } from '../models/index.ts';
import type { Batch } from './batches.ts';

/** Feeds `mask` [B,1,T,T], `cos` and `sin` [B,T,E/2] of one block. */
export interface BlockSurroundings {
  readonly mask: Handle;
  readonly cos: Handle;
  readonly sin: Handle;
}

/** Makes the surroundings of batches; blocks of one kind share them. */
export class SurroundingsMaker {
  readonly #config: ModelConfig;
  readonly #tables = new Map<RopeConfig, RopeTable>();

  constructor(config: ModelConfig) {
    this.#config = config;
    for (const { rope } of config.blocks)
      if (!this.#tables.has(rope)) this.#tables.set(rope, new RopeTable(rope, config.headDim));
  }

  /** One entry a block. Attention sees no other segment; positions start at 0 in each. */
  of(batch: Batch): BlockSurroundings[] {
    const { columns, segments } = batch;
    const masks = new Map<number | undefined, Handle>();
    const angles = new Map<RopeConfig, { cos: Handle; sin: Handle }>();
    const positions = positionsOf(batch);
    return this.#config.blocks.map(({ window, rope }) => {
      if (!masks.has(window)) {
        const mask = zeros('f32', [segments.length, 1, columns, columns]);
        fillMask(mask.data, new Int32Array(segments.length), { queries: columns, window });
        separate(mask.data, segments, columns);
        masks.set(window, handle(mask));
      }
      if (!angles.has(rope)) {
        const shape = [segments.length, columns, this.#config.headDim / 2];
        const [cos, sin] = [zeros('f32', shape), zeros('f32', shape)];
        (this.#tables.get(rope) as RopeTable).fill(positions, cos.data, sin.data);
        angles.set(rope, { cos: handle(cos), sin: handle(sin) });
      }
      return { mask: masks.get(window) as Handle, ...(angles.get(rope) as { cos: Handle; sin: Handle }) };
    });
  }
}

/** Position of every column in its segment, [B·T]; 0 at padding. */
function positionsOf({ columns, segments }: Batch): Int32Array {
  const positions = new Int32Array(segments.length * columns);
  segments.forEach((row, b) => {
    for (const [start, end] of row) for (let t = start; t < end; t++) positions[b * columns + t] = t - start;
  });
  return positions;
}

/** Hide from every segment what stands before it. */
function separate(mask: Float32Array, segments: Batch['segments'], columns: number): void {
  segments.forEach((row, b) => {
    for (const [start, end] of row) {
      for (let t = start; t < end; t++)
        mask.fill(-1e9, (b * columns + t) * columns, (b * columns + t) * columns + start);
    }
  });
}
