/** @file Buffers that outlive a step: sessions write into them, so that no step allocates what the one before freed. */
import { type Handle, handle } from '../engine/index.ts';

/** Named float32 buffers that grow and are handed out in any shape; a name's former content is lost when it is asked for again. */
export class Workspace {
  readonly #buffers = new Map<string, Float32Array>();
  readonly #lasting = new Map<Float32Array, Handle>();

  /** A tensor of `shape` in the buffer called `name`. Its values are whatever was there. */
  take(name: string, shape: readonly number[]): Handle {
    const size = shape.reduce((a, b) => a * b, 1);
    let buffer = this.#buffers.get(name);
    if (buffer === undefined || buffer.length < size) {
      buffer = new Float32Array(size);
      this.#buffers.set(name, buffer);
    }
    return handle({ dtype: 'f32', shape, data: buffer.subarray(0, size) });
  }

  /** The handle of a buffer that lives as long as the model (a weight, a gradient), made once. */
  lasting(data: Float32Array, shape: readonly number[]): Handle {
    const known = this.#lasting.get(data);
    if (known !== undefined) return known;
    const made = handle({ dtype: 'f32', shape, data });
    this.#lasting.set(data, made);
    return made;
  }

  /** Forget everything. */
  clear(): void {
    this.#buffers.clear();
    this.#lasting.clear();
  }
}

/** A handle's values. */
export const valuesOf = (h: Handle | undefined): Float32Array<ArrayBuffer> =>
  (h as Handle).data as Float32Array<ArrayBuffer>;
