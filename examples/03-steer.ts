/**
 * @file An intervention as data: the activations of one prompt's words are put into another's, at each block in turn. Early the
 * answer follows the donor, late it no longer does: the information has moved on. Run: npx tsx examples/03-steer.ts
 */
import assert from 'node:assert/strict';
import { applyIntervention, LanguageModel, residPost } from 'crosspatch';

await using model = await LanguageModel.load('tiny-llama-m');
const prompt = '### Instruction:\nWhich day comes after Saturday?\n### Response:\n';

const answers: string[] = [];
for (let block = 0; block < model.nLayers; block++) {
  const edit = {
    op: 'set',
    hook: residPost(block),
    tokens: { match: { text: 'Saturday', after: 1 } },
    vector: { from: 'run', replace: { Saturday: 'Monday' } },
  } as const;
  const steered = await applyIntervention(model, edit, [prompt]);
  const [completion] = await model.generate([prompt], { fwdHooks: steered.fwdHooks, maxNewTokens: 4 });
  const [effect] = steered.proof()[0] ?? []; // throws if nothing was changed
  console.log(
    `block ${block}: ${completion?.text} (changed by ${effect?.relative_change.toFixed(2)} of its length)`,
  );
  answers.push(completion?.text.trim() ?? '');
}
assert.equal(answers[0], 'Tuesday');
assert.equal(answers.at(-1), 'Sunday');
