/**
 * @file A steering vector of model A carried to model B by a map f of activations: W v where f(x) = W x + b, else the mean of
 * f(x + v) − f(x) over activations x of A. ds width of A, dt width of B.
 */
import { InputError } from '../../base/index.ts';
import type { VectorRecord } from '../../contracts/index.ts';
import type { VectorFolder } from '../../interventions/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import { lengthOf } from './rows.ts';

/** A vector in B's space [dt], and how it came about. */
export interface CarriedVector {
  readonly vector: Float32Array;
  /** Rows averaged over, for a map that is not affine. */
  readonly rows?: number;
  /** Mean cosine of the rows' differences with their mean: 1 where the map acts as a linear one on this vector. */
  readonly agreement?: number;
}

/** Whether {@link carryVector} needs rows for this map. */
export function needsRows(map: ActivationMap): boolean {
  return behaviour[map.kind] === 'curved';
}

/**
 * f'(v): W v in float64 for affine maps; for others the mean of f(x + v) − f(x) over `rows` [n,ds] of A at the map's source block.
 *
 * @throws InputError for a map that gives the same output whatever it is given, and a curved map without rows
 */
export function carryVector(map: ActivationMap, v: Float32Array, rows?: Float32Array): CarriedVector {
  const { width } = map.source;
  if (v.length !== width)
    throw new InputError(
      `map apply: the vector has ${v.length} numbers, the map ${map.kind} takes ${width} (${map.source.name})`,
      { id: 'map-mismatch' },
    );
  switch (behaviour[map.kind]) {
    case 'affine':
      return { vector: product(map.body.tensors.weight.data, v, map.target.width) };
    case 'same':
      return { vector: v.slice() };
    case 'constant':
      throw new InputError(
        `map apply: a map of kind ${map.kind} gives the same whatever is added to its input, so it carries no direction; take an affine map`,
        { id: 'map-mismatch' },
      );
    case 'curved': {
      if (rows === undefined || rows.length === 0)
        throw new InputError(
          `map apply: a map of kind ${map.kind} is not affine: give prompts (--data) and the source model (--source) to average f(x + v) − f(x) over`,
          { id: 'option-missing' },
        );
      return meanChange(map, v, rows);
    }
  }
}

/**
 * The vector of the map's source block, held to the map.
 *
 * @throws InputError naming what does not fit: the model, the block, or the direction of the map
 */
export function vectorForMap({ vectors, record }: VectorFolder, map: ActivationMap): Float32Array {
  const { source, target } = map;
  if (record !== undefined && record.model.sha256 !== source.model)
    throw new InputError(
      record.model.sha256 === target.model
        ? `map apply: the vector is of ${record.model.name}, which is the target of this map (${source.name} to ${target.name}); take a map that starts there`
        : `map apply: the vector is of ${record.model.name}, the map starts at ${source.name}; make the vector on the very model the map was fitted on`,
      { id: 'map-mismatch' },
    );
  const found = vectors.get(source.block);
  if (found !== undefined) return found;
  throw new InputError(
    `map apply: the map starts at block ${source.block} of ${source.name}, the vectors are of blocks ${[...vectors.keys()].join(', ')}; make one there (vector --blocks ${source.block})`,
    { id: 'map-mismatch' },
  );
}

/** What `vector.json` says of a carried vector. */
export function carriedRecord(
  map: ActivationMap,
  mapSha256: string,
  carried: CarriedVector,
  from: VectorRecord | undefined,
): VectorRecord {
  const { source, target } = map;
  return {
    schema_version: 1,
    model: { name: target.name, sha256: target.model, width: target.width },
    method: 'mapped',
    unit: 'α = 1 is what the map makes of α = 1 in the source model',
    template: from?.template,
    blocks: [{ block: target.block, norm: lengthOf(carried.vector) }],
    recommended: { block: target.block, alpha: 1, reason: 'the block the map ends at' },
    carried: {
      model: from?.model,
      method: from?.method,
      block: source.block,
      map: { kind: map.kind, fit: map.fit, sha256: mapSha256 },
      rows: carried.rows,
      agreement: carried.agreement,
    },
  };
}

const behaviour: Record<ActivationMap['kind'], 'affine' | 'same' | 'constant' | 'curved'> = {
  affine: 'affine',
  'affine-sgd': 'affine',
  shuffled: 'affine',
  random: 'affine',
  pinv: 'affine',
  truncated: 'affine',
  reverse_ridge: 'affine',
  identity: 'same',
  mean: 'constant',
  'token-mean': 'constant',
  autoencoder: 'curved',
};

/** W v, W [dt,ds] */
function product(weight: Float32Array, v: Float32Array, dt: number): Float32Array {
  return Float32Array.from({ length: dt }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < v.length; j++) sum += weight[i * v.length + j] * v[j];
    return sum;
  });
}

function meanChange(map: ActivationMap, v: Float32Array, rows: Float32Array): CarriedVector {
  const n = rows.length / v.length;
  const moved = rows.map((x, i) => x + v[i % v.length]);
  const [from, to] = [map.apply(rows, n), map.apply(moved, n)];
  const d = map.target.width;
  const mean = new Float64Array(d);
  for (let i = 0; i < n * d; i++) mean[i % d] += (to[i] - from[i]) / n;
  const norm = lengthOf(mean);
  let cosines = 0;
  for (let i = 0; i < n; i++) {
    let along = 0;
    let squares = 0;
    for (let j = 0; j < d; j++) {
      const change = to[i * d + j] - from[i * d + j];
      along += change * mean[j];
      squares += change * change;
    }
    if (squares > 0 && norm > 0) cosines += along / Math.sqrt(squares) / norm;
  }
  return { vector: Float32Array.from(mean), rows: n, agreement: cosines / n };
}
