/** @file Whether steering is a bias: vectors added after blocks at every position of every prompt, in a family that has a place for them. */
import { InputError } from '../../base/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import { additiveVectors } from '../../interventions/index.ts';
import type { ModelConfig } from '../../models/index.ts';
import { takesDownBias } from '../../train/index.ts';

/** The vectors [D] by block, or why there are none. */
export type BiasOrNot =
  | { readonly vectors: ReadonlyMap<number, Float32Array>; readonly why?: undefined }
  | { readonly vectors?: undefined; readonly why: string };

/** What a document's steering is as a bias of `config`. Its vectors must lie in it. */
export function asBias(document: InterventionDocument, config: ModelConfig): BiasOrNot {
  if (!takesDownBias(config))
    return { why: `models of the family ${config.modelType} have no bias on their down projections` };
  try {
    const { vectors, leaves } = additiveVectors(document);
    return leaves.length === 0 ? { vectors } : { why: leaves.join('; ') };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    // What follows speaks of files of vectors.
    return { why: error.message.replace(/[,;] (and )?a file of vectors .*$/, '') };
  }
}
