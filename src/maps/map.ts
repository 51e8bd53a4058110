/**
 * @file What a map is: a function from A's residual stream after block L to B's after block M, that knows where it came from.
 *
 * n rows, ds width of the source, dt width of the target; rows are flat float32, row-major.
 */

import { InputError } from '../base/index.ts';
import { MAP_FITS, type MapCurves, type MapFit, type WEIGHTS_FORMS } from '../contracts/index.ts';

/** Where activations are read or written. */
export interface MapEnd {
  /** Content hash of the model; a map fits no other. */
  readonly model: string;
  /** A name for people. */
  readonly name: string;
  /** 0-based; −1 is what enters block 0. */
  readonly block: number;
  /** Canonical hook name. */
  readonly hook: string;
  readonly width: number;
  /** How its matrices were held; files of before it was said have none. Both forms give the same activations within rounding. */
  readonly weights?: (typeof WEIGHTS_FORMS)[number] | undefined;
}

/** A named array of a map. */
export interface MapTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What some kinds need to know about the rows. */
interface ApplyContext {
  /** The target's token of every row (for `token-mean`). */
  readonly tokenIds?: ArrayLike<number>;
}

/** The arithmetic of a map: made from its tensors alone, so a reloaded map gives the same bits. */
export interface MapBody {
  /** Numbers that were fitted. */
  readonly parameters: number;
  readonly tensors: Readonly<Record<string, MapTensor>>;
  /** rows [n,ds] → [n,dt], fresh memory. A row's result does not depend on the others. */
  apply(rows: Float32Array, n: number, context?: ApplyContext): Float32Array;
}

/** All kinds: those that are fitted, and the inverses of affine maps. */
export const MAP_KINDS = [
  'affine',
  'affine-sgd',
  'autoencoder',
  'mean',
  'identity',
  'token-mean',
  'shuffled',
  'random',
  'pinv',
  'truncated',
  'reverse_ridge',
] as const;
export type MapKind = (typeof MAP_KINDS)[number];

/** Provenance of a map, stored beside its tensors. */
export interface MapRecord {
  readonly kind: MapKind;
  /** Which rows it was fitted on. */
  readonly fit: MapFit;
  readonly source: MapEnd;
  readonly target: MapEnd;
  readonly sourceTokenizer: string;
  readonly targetTokenizer: string;
  /** Hash of the texts of the fit. */
  readonly data: string;
  readonly seed: number;
  /** Rows of the fit. */
  readonly rows: number;
  /** Capture apart. */
  readonly fitSeconds: number;
  /** Chosen settings worth showing: λ, learning rate, hidden width, preset. */
  readonly settings: Readonly<Record<string, number | string | boolean>>;
  /** Figures on validation rows, and whatever the caller adds. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly curves?: MapCurves;
}

/** A fitted map. */
export class ActivationMap {
  readonly record: MapRecord;
  readonly body: MapBody;
  /** Mean source row of the fit [ds]: stands in where a target token has no source token at all. */
  readonly sourceMean: Float32Array;

  constructor(record: MapRecord, body: MapBody, sourceMean: Float32Array) {
    if (!MAP_FITS.includes(record.fit))
      throw new InputError(`map: no such fit ${record.fit}`, { id: 'map-damaged' });
    this.record = record;
    this.body = body;
    this.sourceMean = sourceMean;
  }

  get kind(): MapKind {
    return this.record.kind;
  }

  get fit(): MapFit {
    return this.record.fit;
  }

  get source(): MapEnd {
    return this.record.source;
  }

  get target(): MapEnd {
    return this.record.target;
  }

  get parameters(): number {
    return this.body.parameters;
  }

  /** rows [n,ds] → [n,dt]. Throws `InputError` for rows of another width, and when a token-mean is not told the tokens. */
  apply(rows: Float32Array, n: number, context?: ApplyContext): Float32Array {
    if (rows.length !== n * this.source.width)
      throw new InputError(
        `map ${this.kind}: wanted ${n} rows of width ${this.source.width}, got ${rows.length} numbers`,
        { id: 'map-mismatch' },
      );
    return this.body.apply(rows, n, context);
  }

  /** One mapped row. */
  applyRow(row: Float32Array, tokenId?: number): Float32Array {
    return this.apply(row, 1, tokenId === undefined ? {} : { tokenIds: [tokenId] });
  }

  /** The same map with further figures. */
  withMetrics(metrics: Readonly<Record<string, number>>): ActivationMap {
    const record = { ...this.record, metrics: { ...this.record.metrics, ...metrics } };
    return new ActivationMap(record, this.body, this.sourceMean);
  }

  /**
   * Refuse a model, block, hook or width this map was not made for. Call it before a map read from disk is used.
   * @throws InputError naming the end that differs
   */
  assertFits(source: Omit<MapEnd, 'name'>, target: Omit<MapEnd, 'name'>): void {
    const sides = [
      ['source', this.source, source],
      ['target', this.target, target],
    ] as const;
    for (const [side, made, given] of sides)
      for (const key of ['width', 'block', 'hook', 'model'] as const)
        if (made[key] !== given[key])
          throw new InputError(
            `map ${this.kind}: was made for ${side} ${key} ${made[key]} (${made.name}), got ${given[key]}; fit it again`,
            { id: 'map-mismatch' },
          );
  }
}

/** Settings as MapEntry wants them: without the undefined ones. */
export function shownSettings(
  settings: Readonly<Record<string, number | string | boolean | undefined>>,
): Record<string, number | string | boolean> {
  return Object.fromEntries(
    Object.entries(settings).filter((e): e is [string, number | string | boolean] => e[1] !== undefined),
  );
}
