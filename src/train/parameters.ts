/** @file A model's weights in memory as float32, by Hugging Face name, and back to a folder. */
import { InputError, type Rng } from '../base/index.ts';
import {
  allTensors,
  type Checkpoint,
  checkTensors,
  EMBED,
  HEAD,
  type ModelConfig,
  parseModelConfig,
  refuseNonFinite,
} from '../models/index.ts';

/** Full tensor name → row-major values. The buffers are bound as inputs of the training sessions and updated in place. */
export type Parameters = Map<string, Float32Array>;

/** Read every tensor a checkpoint's config needs. */
export async function loadParameters(
  checkpoint: Checkpoint,
): Promise<{ config: ModelConfig; parameters: Parameters }> {
  const config = parseModelConfig(checkpoint.config, checkpoint.path);
  checkTensors(config, checkpoint);
  const parameters: Parameters = new Map();
  for (const name of allTensors(config).keys()) {
    const { data } = await checkpoint.readTensor(name);
    refuseNonFinite(data, `${checkpoint.path}: tensor ${name}`);
    parameters.set(name, data);
  }
  return { config, parameters };
}

/** Standard deviations of a fresh model. */
interface InitOptions {
  /** Defaults to 0.05. */
  readonly embedding?: number;
  /** Of an untied head. Defaults to 0.05. */
  readonly head?: number;
  /** Of the matrices; the two that write into the residual are divided by √(2·blocks) (GPT-2's rule). Defaults to 1/√in. */
  readonly matrix?: number;
}

/** Random weights: norms at identity, biases zero. */
export function initParameters(config: ModelConfig, rng: Rng, options: InitOptions = {}): Parameters {
  const parameters: Parameters = new Map();
  for (const [name, shape] of allTensors(config)) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (/norm\.weight$/.test(name)) values.fill(config.normGain === 'w' ? 1 : 0);
    else if (shape.length === 2) {
      const writes = /(o_proj|down_proj)\.weight$/.test(name) ? 1 / Math.sqrt(2 * config.blocks.length) : 1;
      const table =
        name === EMBED ? (options.embedding ?? 0.05) : name === HEAD ? (options.head ?? 0.05) : undefined;
      const sd = table ?? (options.matrix ?? 1 / Math.sqrt(shape[1])) * writes;
      const draw = rng.fork(name);
      for (let i = 0; i < values.length; i++) values[i] = draw.normal() * sd;
    }
    parameters.set(name, values);
  }
  return parameters;
}

/** The values of one tensor; an error when the model has none of that name. */
export function parameter(parameters: Parameters, name: string): Float32Array {
  const values = parameters.get(name);
  if (values === undefined)
    throw new InputError(`parameters: the model has no tensor ${name}`, { id: 'checkpoint-damaged' });
  return values;
}
