/** @file A judge that is a local ONNX model, as a recipe names it. */
import { z } from 'zod';
import { count } from './recipe-training.ts';

const reading = {
  kind: z
    .enum(['embedding', 'pair'])
    .describe(
      'embedding: cosine of the two texts’ embeddings. pair: a model with one output that reads both, reference first',
    ),
  max_tokens: count.default(256).describe('Of longer texts the beginning is read'),
};
/** Key of its figures: not one of ours. */
const name = z
  .string()
  .regex(/^[a-z][a-z0-9_-]*$/, 'wanted small letters, digits, dashes')
  .refine((key) => !/^(lexical.*|likelihood|llm)$/.test(key), 'is a judge already');

/** As in a recipe. */
export const onnxJudgeSettings = z.strictObject({
  ...reading,
  name: name.optional().describe('Key of its figures. Defaults to the kind'),
  model: z
    .string()
    .min(1)
    .describe(
      'ONNX file, or the folder of model.onnx, relative to the experiment file; tokenizer.json is beside it',
    ),
});

/** The same with the file's name in its folder, which stages have as an input. */
export const onnxJudgeParams = z.strictObject({ ...reading, name, file: z.string() });
export type OnnxJudgeParams = z.output<typeof onnxJudgeParams>;
