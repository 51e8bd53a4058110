/** @file A JSON document of a run in memory and on disk, with the hash of the rest under `sha256`: readers notice what was changed later. */
import { hashJson, writeJsonAtomic } from '../base/index.ts';

/** Change `value`, then {@link write}. */
export class SealedJson<T extends object> {
  readonly #path: string;
  value: T;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, value: T) {
    this.#path = path;
    this.value = value;
  }

  /** One write after the other, so that the last state is the one that stays. */
  write(): Promise<void> {
    this.#writing = this.#writing
      .catch(() => {})
      .then(() => writeJsonAtomic(this.#path, { ...this.value, sha256: hashJson(this.value) }));
    return this.#writing;
  }
}
