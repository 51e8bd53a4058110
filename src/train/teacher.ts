/**
 * @file Soft targets: what a teacher says in the place of labels. A teacher shares the head of the model that is trained, so its states say all
 * of its distribution over the vocabulary in D numbers.
 */
import { InputError } from '../base/index.ts';

/** A teacher at N predictions. D width. */
export interface TeacherStates {
  /** Its states after the final norm, without the norm's gain (`ln_final.hook_normalized`), [N,D]. */
  readonly states: Float32Array;
  /** ln Σ exp of its logits, [N]. */
  readonly lse: Float32Array;
}

/** The first `n` predictions. */
export function firstStates({ states, lse }: TeacherStates, n: number): TeacherStates {
  const d = states.length / lse.length;
  return { states: states.slice(0, n * d), lse: lse.slice(0, n) };
}

/** The teachers of several rows, one after another; undefined where none has one. Throws {@link InputError} where some have none. */
export function joinedStates(parts: readonly (TeacherStates | undefined)[]): TeacherStates | undefined {
  const given = parts.filter((part) => part !== undefined);
  if (given.length === 0) return undefined;
  if (given.length < parts.length)
    throw new InputError(
      `batch: ${given.length} of ${parts.length} rows have a teacher; wanted all of them or none`,
      { id: 'data-invalid' },
    );
  return {
    states: joined(given.map(({ states }) => states)),
    lse: joined(given.map(({ lse }) => lse)),
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
