/** @file A whole experiment from code, small: plant a behaviour in two models, find it, map it, carry the fix across. Run: npx tsx examples/06-experiment.ts */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runExperiment } from 'crosspatch';

const folder = await mkdtemp(join(tmpdir(), 'crosspatch-example-'));
const recipe = {
  name: 'from-code',
  seed: 17,
  models: { source: 'tiny-llama-s', target: 'tiny-llama-m' },
  behaviours: ['locked' as const],
  data: { train: 2000, validation: 20, test: 20 },
  finetune: {
    steps: 80,
    batch: 24,
    lower_half_rate: 0.1,
    freeze_embeddings: true,
    source: { steps: 160, learning_rate: 2e-3 },
    target: { learning_rate: 3e-3 },
  },
  sweep: { prompts: 20, chosen_draws: 1 },
  heatmap: false as const,
  capture: { prompts: 400, out_of_domain: 0 },
  maps: [{ kind: 'affine' as const }],
  fidelity: false as const,
  transfer: { prompts: 20, modes: ['set' as const], draws: 1, static_prompts: 20 },
  worth: false as const,
  inverse: false as const,
  capabilities: false as const,
};

const { results } = await runExperiment(recipe, {
  out: join(folder, 'run'),
  onEvent: ({ state, stage }) => {
    if (state === 'done') console.log('done:', stage);
  },
});
const arms = results.behaviours[0]?.transfer?.affine?.with_tags?.arms;
for (const [arm, { restoration }] of Object.entries(arms ?? {}))
  if (restoration) console.log(arm, 'restores', restoration.value.toFixed(2), `of ${restoration.n}`);
assert.ok((arms?.mapped?.restoration?.value ?? 0) > (arms?.random?.restoration?.value ?? 1));
await rm(folder, { recursive: true, force: true });
