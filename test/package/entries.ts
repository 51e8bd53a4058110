// What a user's compiler sees of the packed package: every declaration behind both entries, without skipLibCheck (.ci/run).
import { LanguageModel, type RecipeInput, residPost, runExperiment } from 'crosspatch';
import { matmul, type Tensor } from 'crosspatch/engine';

const recipe: RecipeInput = {
  models: { source: 'tiny-llama-s', target: 'tiny-llama-m' },
  maps: [{ kind: 'affine' }],
};
export const results = async () => (await runExperiment(recipe)).results.behaviours[0]?.transfer;
export const lastToken = async (): Promise<Float32Array> => {
  const model = await LanguageModel.load('tiny-llama-m');
  return (await model.runWithCache('a')).cache.get(residPost(3)).at(-1);
};
export const shape = (tensor: Tensor<'f32'>): readonly number[] => tensor.shape;
export { matmul };
