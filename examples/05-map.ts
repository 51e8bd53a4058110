/** @file Fit a map from one bundled model's residual stream to another's, and see how much it explains on texts it has not seen. Run: npx tsx examples/05-map.ts */
import assert from 'node:assert/strict';
import { fitMap, LanguageModel, residPost, tinyInstructions } from 'crosspatch';

await using small = await LanguageModel.load('tiny-llama-s');
await using large = await LanguageModel.load('tiny-llama-m');
const texts = tinyInstructions({ seed: 5, train: 600, validation: 0, test: 0 }).map(
  ({ prompt, answer }) => `### Instruction:\n${prompt}\n### Response:\n${answer}`,
);

for (const kind of ['affine', 'mean'] as const) {
  const { map, test } = await fitMap({
    source: { model: small, block: 2 },
    target: { model: large, block: 3 },
    texts,
    kind,
    seed: 5,
  });
  const { fvu, cossim } = test;
  assert.ok(fvu && cossim);
  console.log(
    `${kind}: unexplained variance ${fvu.value.toFixed(3)}, cosine ${cossim.value.toFixed(3)} on ${fvu.n} held-out texts`,
  );
  if (kind === 'affine') assert.ok(fvu.value < 0.5);
  else assert.ok(fvu.value > 0.9);

  // Any activation of the small model, where the large one keeps its own.
  const { cache } = await small.runWithCache('### Instruction:\nWhat is the capital of Sweden?\n');
  assert.equal(map.apply(cache.get(residPost(2)).at(-1), 1).length, large.config.dModel);
}
