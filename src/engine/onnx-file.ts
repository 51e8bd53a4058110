/** @file ONNX files that others made, run as they are: no graph of ours is behind them. */
import type { InferenceSession } from 'onnxruntime-node';
import { CrosspatchError, errorLine, InputError, type Owned } from '../base/index.ts';
import { createOrtSession } from './onnx/runtime.ts';
import { handle, unhandle } from './session.ts';
import type { Tensor } from './tensor.ts';

/** An input as the file declares it. */
export interface OnnxInput {
  readonly name: string;
  /** ONNX Runtime's word: `int64`, `float32`, … */
  readonly type: string;
}

/** An open ONNX file. Dispose of it to free its weights. */
export class OnnxFile implements Owned {
  readonly path: string;
  readonly inputs: readonly OnnxInput[];
  readonly outputs: readonly string[];
  readonly #ort: InferenceSession;

  /** Load a file and the external data beside it on the CPU. Throws InputError when the runtime cannot. `threads` defaults to the number of cores. */
  static async open(
    path: string,
    options: { readonly threads?: number | undefined } = {},
  ): Promise<OnnxFile> {
    const settings = {
      provider: 'cpu' as const,
      threads: options.threads,
      weightsFolder: undefined,
      float64: false,
    };
    const ort = await createOrtSession(path, settings).catch((cause: unknown) => {
      throw new InputError(`${path}: is not an ONNX model that can be run: ${errorLine(cause)}`, {
        id: 'checkpoint-damaged',
        cause,
      });
    });
    return new OnnxFile(path, ort);
  }

  private constructor(path: string, ort: InferenceSession) {
    this.path = path;
    this.#ort = ort;
    this.inputs = ort.inputMetadata.map((input) => ({
      name: input.name,
      type: input.isTensor ? input.type : 'none',
    }));
    this.outputs = ort.outputNames;
  }

  /** Run once; every input must be fed. Returns the output of that name. */
  async run(feeds: Readonly<Record<string, Tensor>>, output: string): Promise<Tensor> {
    try {
      const ready = Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, handle(t)]));
      const found = (await this.#ort.run(ready, [output]))[output];
      if (found === undefined) throw new Error(`it has no output ${output}`);
      return unhandle(found);
    } catch (cause) {
      throw new CrosspatchError(`${this.path}: ${errorLine(cause)}`, { id: 'runtime-failed', cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ort.release();
  }
}
