/**
 * @file Next-token logits of a model as it is and with an intervention, for `peer_exports.py` and `peer_hooks.py`: a file of vectors, a folder of
 * them, or a document (whose other models and maps are opened).
 *
 *   npx tsx test/interop/steered-logits.ts MODEL INTERVENTION PROMPTS.jsonl > ours.jsonl
 */
import { readFile } from 'node:fs/promises';
import { readSteering } from '../../src/cli/steer.ts';
import { applyIntervention } from '../../src/interventions/index.ts';
import { type FwdHook, LanguageModel } from '../../src/models/index.ts';
import { documentResolvers, OtherModels } from '../../src/pipeline/index.ts';

const [path = '', intervention = '', file = ''] = process.argv.slice(2);
const { document, folder } = await readSteering(intervention);
await using model = await LanguageModel.load(path);
await using others = new OtherModels((name) => LanguageModel.load(name));
const resolvers = documentResolvers(folder, others.open);
for (const line of (await readFile(file, 'utf8')).trim().split('\n')) {
  const { text } = JSON.parse(line) as { text: string };
  const steered = await applyIntervention(model, document, [text], resolvers);
  const [ids] = steered.ids;
  const last = async (hooks: readonly FwdHook[]): Promise<number[]> => {
    const { logits } = await model.forward(ids ?? [], hooks);
    return [...logits.data.slice(-(logits.shape[2] as number)).slice(0, model.decoder.tokens)];
  };
  console.log(
    JSON.stringify({
      ids,
      plain: await last([]),
      steered: await last(steered.fwdHooks),
      positions: steered.proof()[0]?.map((effect) => effect.positions),
    }),
  );
}
