/** @file Models that intervention documents name, each opened once, those used longest ago closed. */
import { disposeAll, type Owned } from '../base/index.ts';
import type { ModelName } from '../interventions/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { mergedFolder, openAt } from './adapted.ts';

/** A model, and how it is given back. */
type Opened = Owned & { readonly model: LanguageModel };

/** See the file's head. Dispose of it to free them. */
export class OtherModels {
  /** By name and adapter, in the order of their last use. */
  readonly #opened = new Map<string, Opened>();
  readonly #load: (reference: string) => Promise<LanguageModel>;
  readonly #kept: number;

  /** `load` opens a path, bundled or hub name. `kept`: most models open at a time. Defaults to all. */
  constructor(
    load: (reference: string) => Promise<LanguageModel>,
    { kept = Number.POSITIVE_INFINITY }: { readonly kept?: number } = {},
  ) {
    this.#load = load;
    this.#kept = kept;
  }

  /** Models that are open. */
  get count(): number {
    return this.#opened.size;
  }

  readonly open = async (name: ModelName): Promise<LanguageModel> => {
    const key = JSON.stringify([name.model, name.adapter]);
    const found = this.#opened.get(key) ?? (await this.#new(name));
    this.#opened.delete(key);
    this.#opened.set(key, found);
    for (const [oldest, old] of this.#opened) {
      if (this.#opened.size <= this.#kept) break;
      this.#opened.delete(oldest);
      await old[Symbol.asyncDispose]();
    }
    return found.model;
  };

  async #new({ model: reference, adapter }: ModelName): Promise<Opened> {
    if (adapter !== undefined) return openAt(await mergedFolder(reference, adapter), this.#load);
    const model = await this.#load(reference);
    return { model, [Symbol.asyncDispose]: () => model[Symbol.asyncDispose]() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll([...this.#opened.values()]);
  }
}
