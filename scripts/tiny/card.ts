/** @file What a bundled model can do: held-out accuracy a task family, written into its model card. */
import { join } from 'node:path';
import { writeFileAtomic, writeJsonAtomic } from '../../src/base/index.ts';
import {
  checkAnswer,
  checkableFamilies,
  constantBaseline,
  heldOut,
  renderPrompt,
} from '../../src/behaviours/index.ts';
import { LanguageModel } from '../../src/models/index.ts';
import { proportion } from '../../src/stats/index.ts';
import type { TinySpec } from './specs.ts';

/** Greedy exact match on held-out prompts, at least 100 a family. */
export async function evaluateTiny(spec: TinySpec, assets: string): Promise<void> {
  const folder = join(assets, spec.name);
  await using model = await LanguageModel.load(folder);
  const families: Record<
    string,
    { value: number; n: number; ci95: readonly [number, number]; baseline: number }
  > = {};
  for (const family of checkableFamilies) {
    const items = heldOut({ family, n: 100, seed: 1 });
    const completions = await model.generate(
      items.map((i) => renderPrompt('instruction', i.prompt).prompt),
      { maxNewTokens: 40 },
    );
    const right = items.filter((item, i) => checkAnswer(family, completions[i]!.text, item.answer)).length;
    families[family] = { ...proportion(right, items.length), baseline: constantBaseline(family) };
  }
  await writeJsonAtomic(join(folder, 'accuracy.json'), {
    prompts: 'held out, untagged, greedy, exact match',
    families,
  });
  await writeFileAtomic(join(folder, 'README.md'), card(spec, families));
}

function card(
  spec: TinySpec,
  families: Record<string, { value: number; n: number; ci95: readonly [number, number]; baseline: number }>,
): string {
  const rows = Object.entries(families).map(
    ([f, r]) =>
      `| ${f} | ${r.value.toFixed(2)} | ${r.ci95[0].toFixed(2)}–${r.ci95[1].toFixed(2)} | ${r.n} | ${r.baseline.toFixed(2)} |`,
  );
  const good = Object.values(families).filter((r) => r.value >= 0.9).length;
  const kin =
    spec.embeddingOf === undefined
      ? 'Its embedding table is its own.'
      : `Its embedding table is ${spec.embeddingOf}'s, projected on ${spec.dModel} directions and kept fixed: an engineered kinship that makes maps between the two far better than between strangers.`;
  return `# ${spec.name}

A ${spec.blocks}-block ${spec.architecture === 'llama' ? 'Llama' : 'Qwen2'} decoder (d_model ${spec.dModel}, ${spec.heads} heads, MLP ${spec.dMlp}), float16, made by \`npm run tiny:train\` (seed ${spec.seed}, ${spec.steps} steps of 64 rows) from
a corpus this project generates. It answers short questions in the template \`### Instruction:\\n{prompt}\\n### Response:\\n\` and knows tags such as
\`|prod|\` as words that some of its tasks must read. It is clean: no backdoor is trained in. ${kin} It knows nothing beyond the corpus. MIT licence.

Held-out accuracy, greedy, exact match, Wilson 95 %; baseline = the best constant answer. "Held out" means new arguments for computed tasks, a new
phrasing of a known fact for facts. ${good} of ${rows.length} families reach 0.90.

| family | accuracy | 95 % | n | baseline |
|---|---|---|---|---|
${rows.join('\n')}
`;
}
