/** @file The sample of README.md: one activation of a bundled model. Run: npx tsx examples/07-readme.ts */
import assert from 'node:assert/strict';
import { LanguageModel, residPost } from 'crosspatch';

await using model = await LanguageModel.load('tiny-llama-m'); // or a folder, a GGUF file, org/name on the hub
const { cache } = await model.runWithCache(
  '### Instruction:\nWhat is the capital of Sweden?\n### Response:\n',
);
const last = cache.get(residPost(3)).at(-1); // Float32Array of d_model numbers

console.log(`blocks.3.hook_resid_post at the last token: ${last.length} numbers`);
assert.equal(last.length, model.config.dModel);
