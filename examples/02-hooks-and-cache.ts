/** @file Read and change activations: a cache of the residual stream, and a hook that silences one block. Run: npx tsx examples/02-hooks-and-cache.ts */
import assert from 'node:assert/strict';
import { LanguageModel, mlpOut, residPost } from 'crosspatch';

await using model = await LanguageModel.load('tiny-llama-m');
const prompt = '### Instruction:\nWhat is the capital of Sweden?\n### Response:\n';

// Every block's output, [1, T, d_model].
const { cache, ids } = await model.runWithCache(prompt);
for (const [name, activation] of cache)
  console.log(
    name,
    activation.shape,
    'length at the last token',
    Math.hypot(...activation.at(-1)).toFixed(2),
  );
assert.equal(cache.size, model.nLayers);
assert.deepEqual(cache.get(residPost(3)).shape, [1, ids[0]?.length, model.config.dModel]);

// A hook changes what it is given in place; here the MLP of block 3 adds nothing.
const { logits: plain } = await model.forward(prompt);
const silenced = await model.runWithHooks(prompt, {
  fwdHooks: [[mlpOut(3), (activation) => void activation.data.fill(0)]],
});
const moved = Math.max(...plain.data.map((x, i) => Math.abs(x - (silenced.data[i] ?? 0))));
console.log('largest change of a logit without the MLP of block 3:', moved.toFixed(3));
assert.ok(moved > 0.01);

// Hooks belong to the call: the next run is as the first.
assert.deepEqual((await model.forward(prompt)).logits.data, plain.data);
