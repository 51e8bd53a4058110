/** @file Fit a map from one bundled model's residual stream to another's, and see how much it explains on texts it has not seen. Run: npx tsx examples/05-map.ts */
import assert from 'node:assert/strict';
import {
  collectPairs,
  livePairs,
  pairText,
  splitByPrompt,
  textsHash,
  tokenizerHash,
} from 'crosspatch/activations';
import { Rng } from 'crosspatch/base';
import { tinyInstructions } from 'crosspatch/behaviours';
import { fitMap, rowFigures } from 'crosspatch/maps';
import { LanguageModel, resolveModel } from 'crosspatch/models';

await using source = await LanguageModel.load((await resolveModel('tiny-llama-s')).path);
await using target = await LanguageModel.load((await resolveModel('tiny-llama-m')).path);
const ends = {
  source: {
    model: await source.checkpoint.contentHash(),
    name: 'tiny-llama-s',
    block: 2,
    hook: 'blocks.2.hook_resid_post',
    width: source.config.dModel,
  },
  target: {
    model: await target.checkpoint.contentHash(),
    name: 'tiny-llama-m',
    block: 3,
    hook: 'blocks.3.hook_resid_post',
    width: target.config.dModel,
  },
};
const texts = tinyInstructions({ seed: 5, train: 600, validation: 0, test: 0 }).map(({ prompt, answer }, i) =>
  pairText(
    `text/${i}`,
    `### Instruction:\n${prompt}\n### Response:\n${answer}`,
    source.tokenizer,
    target.tokenizer,
  ),
);
const splits = splitByPrompt(texts, { train: 0.8, validation: 0.1, test: 0.1 }, new Rng(5));
const rows = (part: typeof texts) =>
  livePairs(
    part,
    { decoder: source.decoder, hook: ends.source.hook },
    { decoder: target.decoder, hook: ends.target.hook },
  );

for (const kind of ['affine', 'mean'] as const) {
  const map = await fitMap(
    { kind },
    { train: rows(splits.train), validation: rows(splits.validation) },
    {
      ...ends,
      fit: 'general',
      sourceTokenizer: tokenizerHash(source.tokenizer),
      targetTokenizer: tokenizerHash(target.tokenizer),
      data: textsHash(splits.train),
      seed: 5,
      rng: new Rng(5),
    },
  );
  const test = await collectPairs(rows(splits.test));
  const { fvu, cossim } = rowFigures(map.apply(test.x, test.n), test.y, test.n, ends.target.width);
  console.log(
    `${kind}: unexplained variance ${fvu.toFixed(3)}, cosine ${cossim.toFixed(3)} on ${test.n} held-out tokens`,
  );
  if (kind === 'affine') assert.ok(fvu < 0.5);
  else assert.ok(fvu > 0.9);
}
