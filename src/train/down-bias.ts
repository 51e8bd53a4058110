/** @file Vectors added after blocks as the bias of the down projection: h + W_down m + b is what a hook after the block would make of it. */
import { InputError } from '../base/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { blockTensorName, blockTensors, parseModelConfig } from '../models/index.ts';
import { companions, openBase } from './base.ts';
import { parameter } from './parameters.ts';
import { saveModel } from './save-model.ts';

/** Whether the family's layout has a bias there that goes into the residual stream as it is: Llama's `mlp_bias`; others' MLPs have none. */
export function takesDownBias({ modelType }: Pick<ModelConfig, 'modelType'>): boolean {
  return modelType === 'llama';
}

/**
 * Write `model` with vectors [D] added after its blocks, as a Hugging Face folder. The biases of the gate and up projections, which the
 * layout brings along, are as they were, or zero.
 *
 * @throws InputError for a family without such a bias, and for a block or width the model does not have
 */
export async function saveWithDownBias(options: {
  readonly model: string;
  /** By block. */
  readonly vectors: ReadonlyMap<number, Float32Array>;
  readonly out: string;
  /** Defaults to F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16' | undefined;
}): Promise<void> {
  const { checkpoint, config, parameters } = await openBase(options.model);
  const where = checkpoint.path;
  if (!takesDownBias(config))
    throw new InputError(`${where}: ${config.modelType} has no bias on its down projections; wanted llama`, {
      id: 'model-unsupported',
    });
  const biasedJson = { ...checkpoint.config, mlp_bias: true };
  const biased = parseModelConfig(biasedJson, where);
  for (const [block, { length }] of options.vectors)
    if (block >= biased.blocks.length || length !== biased.dModel)
      throw new InputError(
        `bake: a vector of ${length} numbers after block ${block}; ${where} has blocks 0…${biased.blocks.length - 1} of width ${biased.dModel}`,
        { id: 'vector-invalid' },
      );
  const weights = new Map(parameters);
  biased.blocks.forEach((_, block) => {
    const { gateBias, upBias, downBias } = blockTensors(biased);
    for (const tensor of [gateBias, upBias, downBias]) {
      if (tensor === undefined) continue;
      const name = blockTensorName(block, tensor.name);
      const values = config.mlpBias
        ? parameter(parameters, name).slice()
        : new Float32Array(tensor.shape[0] as number);
      const vector = tensor === downBias ? options.vectors.get(block) : undefined;
      vector?.forEach((x, i) => {
        values[i] += x;
      });
      weights.set(name, values);
    }
  });
  await saveModel(options.out, weights, {
    config: biasedJson,
    files: await companions(checkpoint),
    dtype: options.dtype,
  });
}
