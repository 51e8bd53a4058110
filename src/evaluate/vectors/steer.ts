/** @file Steering without a document, for curves of many strengths: the same edits as `intervention.json` of a vector's folder. */
import { writtenHooks } from '../../interventions/index.ts';
import { type FwdHook, type Residual, residPost } from '../../models/index.ts';

/** A change [D] of the residual stream after `block` at every position but the first, of prompts and of generated tokens. */
export interface Push {
  readonly block: number;
  /** [D] */
  readonly delta: Float32Array;
}

/** {@link Push} as hooks. */
export function pushHooks({ block, delta }: Push): FwdHook[] {
  const d = delta.length;
  return [
    [
      residPost(block),
      (activation, { starts, counts }) => {
        const columns = activation.shape[1];
        for (const [b, count] of counts.entries())
          for (let t = starts[b] === 0 ? 1 : 0; t < count; t++)
            addAt(activation.data, (b * columns + t) * d, delta);
      },
    ],
  ];
}

/** {@link Push} on residuals of whole texts after its block, as a copy. */
export function pushed(base: Residual, delta: Float32Array): Residual {
  const [, columns, d] = base.tensor.shape as [number, number, number];
  const data = base.tensor.data.slice();
  for (const [b, count] of base.counts.entries())
    for (let t = 1; t < count; t++) addAt(data, (b * columns + t) * d, delta);
  return { ...base, tensor: { ...base.tensor, data } };
}

/** Project `direction` [D] out of all that is written to the residual stream, at every position. */
export function ablationHooks(direction: Float32Array, nLayers: number): FwdHook[] {
  const d = direction.length;
  let squares = 0;
  for (const x of direction) squares += x * x;
  return writtenHooks(nLayers).map(
    (name): FwdHook => [
      name,
      ({ data }) => {
        for (let at = 0; at < data.length; at += d) {
          let along = 0;
          for (let j = 0; j < d; j++) along += data[at + j] * direction[j];
          const step = along / squares;
          for (let j = 0; j < d; j++) data[at + j] -= step * direction[j];
        }
      },
    ],
  );
}

function addAt(data: Float32Array, at: number, delta: Float32Array): void {
  for (let j = 0; j < delta.length; j++) data[at + j] += delta[j];
}
