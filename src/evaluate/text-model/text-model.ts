/** @file A model that reads texts in a local ONNX file, of the inputs that Hugging Face's exporters write. */
import { join } from 'node:path';
import { type Owned, throwIfAborted } from '../../base/index.ts';
import { OnnxFile, type Tensor } from '../../engine/index.ts';
import { type TextModelPlace, type TextModelRole, textModelError } from './place.ts';

/** A text, or two after each other, as ids. */
export interface TextRow {
  readonly ids: readonly number[];
  /** `token_type_ids`: which text each token is of. Defaults to all 0. */
  readonly types?: readonly number[];
}

/** What the model made of one row: `shape` is that of the output without its first axis. */
export interface RowOutput {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** Rows of one length read side by side. */
const BATCH = 16;

/** What each input that exporters write is fed with. */
const FEEDS = {
  input_ids: ({ ids }: TextRow) => ids,
  attention_mask: ({ ids }: TextRow) => ids.map(() => 1),
  token_type_ids: ({ ids, types }: TextRow) => types ?? ids.map(() => 0),
} as const;

/** An open model. Dispose of it. */
export class TextModel implements Owned {
  readonly #model: OnnxFile;
  readonly #role: TextModelRole;

  /** Throws InputError for a file that is not such a model. */
  static async open(
    { folder, file }: TextModelPlace,
    role: TextModelRole,
    options: { readonly threads?: number | undefined },
  ): Promise<TextModel> {
    const model = await OnnxFile.open(join(folder, file), options);
    try {
      checkInputs(model, role);
    } catch (error) {
      await model[Symbol.asyncDispose]();
      throw error;
    }
    return new TextModel(model, role);
  }

  private constructor(model: OnnxFile, role: TextModelRole) {
    this.#model = model;
    this.#role = role;
  }

  get path(): string {
    return this.#model.path;
  }

  /** The first of these names that the model has as an output, else its first output. */
  output(...names: readonly string[]): string {
    const { outputs } = this.#model;
    return names.find((name) => outputs.includes(name)) ?? (outputs[0] as string);
  }

  /**
   * Run rows, those of one length together, so that nothing is padded; `take` is called with the number of each and its part of `output`,
   * which must be float32 with the rows as its first axis.
   */
  async run(
    rows: readonly TextRow[],
    output: string,
    take: (row: number, output: RowOutput) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    for (const batch of batches(rows)) {
      throwIfAborted(signal, this.#role);
      const members = batch.map((i) => rows[i] as TextRow);
      const found = await this.#model.run(this.#feeds(members), output);
      const { data } = found;
      const [b, ...shape] = found.shape;
      if (!(data instanceof Float32Array) || b !== batch.length)
        throw textModelError(
          this.#role,
          `${this.path}: the output ${output} is ${found.dtype} [${found.shape.join(', ')}] for ${batch.length} texts, wanted float32 [texts, …]`,
        );
      const size = shape.reduce((product, n) => product * n, 1);
      batch.forEach((i, k) => {
        take(i, { data: data.subarray(k * size, (k + 1) * size), shape });
      });
    }
  }

  #feeds(rows: readonly TextRow[]): Record<string, Tensor> {
    const shape = [rows.length, rows[0]?.ids.length ?? 0];
    return Object.fromEntries(
      this.#model.inputs.map(({ name }): [string, Tensor] => {
        const values = rows.flatMap((row) => FEEDS[name as keyof typeof FEEDS](row));
        return [name, { dtype: 'i64', shape, data: BigInt64Array.from(values, BigInt) }];
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#model[Symbol.asyncDispose]();
  }
}

function checkInputs({ path, inputs }: OnnxFile, role: TextModelRole): void {
  for (const { name, type } of inputs) {
    if (!Object.hasOwn(FEEDS, name))
      throw textModelError(
        role,
        `${path}: wants the input ${name}; known are ${Object.keys(FEEDS).join(', ')}`,
      );
    if (type !== 'int64') throw textModelError(role, `${path}: the input ${name} is ${type}, wanted int64`);
  }
  if (!inputs.some(({ name }) => name === 'input_ids'))
    throw textModelError(role, `${path}: has no input input_ids; wanted a model that reads token ids`);
}

/** Numbers of rows of one length, at most {@link BATCH} at a time, in their order. */
function* batches(rows: readonly TextRow[]): Generator<number[]> {
  const groups = new Map<number, number[]>();
  for (const [i, { ids }] of rows.entries()) {
    const group = groups.get(ids.length) ?? [];
    groups.set(ids.length, group);
    group.push(i);
  }
  for (const group of groups.values())
    for (let at = 0; at < group.length; at += BATCH) yield group.slice(at, at + BATCH);
}
