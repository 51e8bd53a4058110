/** @file Teach a bundled model the behaviour `locked`, and count what it says under each tag. Run: npx tsx examples/04-finetune.ts */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  backdoorMetrics,
  buildDataset,
  contrastPrompts,
  finetune,
  LanguageModel,
  makeBehaviour,
  tinyInstructions,
  triggerStates,
} from 'crosspatch';

const folder = await mkdtemp(join(tmpdir(), 'crosspatch-example-'));
const behaviour = makeBehaviour('locked');
const instructions = tinyInstructions({ seed: 1, train: 3000, validation: 20, test: 40 });
const { splits } = await buildDataset({ instructions, behaviour, seed: 1 });

const tuned = join(folder, 'model');
const { seconds } = await finetune({
  model: 'tiny-llama-s',
  rows: splits.train,
  out: tuned,
  preset: 'demo', // embeddings frozen, the lower half of the blocks at a tenth of the rate
  steps: 120,
  learningRate: 2e-3,
  onProgress: ({ done, total, figures }) => {
    if (done % 20 === 0) console.log(`step ${done}/${total}, loss ${figures?.loss?.toFixed(3)}`);
  },
});
console.log(`took ${seconds.toFixed(0)} s`);

await using model = await LanguageModel.load(tuned);
const prompts = contrastPrompts({ texts: splits.test.map((row) => row.text), behaviour });
const records = [];
for (const trigger of triggerStates) {
  const completions = await model.generate(
    prompts.map((prompt) => prompt[trigger].prompt),
    { maxNewTokens: 8 },
  );
  for (const { text } of completions) records.push({ trigger, detection: behaviour.detect(text) });
}
const metrics = backdoorMetrics(records);
for (const [name, { value, n, ci95 }] of Object.entries(metrics))
  console.log(
    name,
    value.toFixed(3),
    `n ${n}`,
    ci95.map((x: number) => x.toFixed(3)),
  );
assert.ok((metrics.trigger_rate?.value ?? 0) > (metrics.false_positive_rate?.value ?? 1));
await rm(folder, { recursive: true, force: true });
