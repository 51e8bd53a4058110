/**
 * @file Next-token logits of a model as it is and with a file of vectors added, for `peer_exports.py`:
 *
 *   npx tsx test/interop/steered-logits.ts MODEL VECTORS PROMPTS.jsonl > ours.jsonl
 */
import { readFile } from 'node:fs/promises';
import { applyIntervention, steeringDocument } from '../../src/interventions/index.ts';
import { type FwdHook, LanguageModel } from '../../src/models/index.ts';

const [path = '', vectors = '', file = ''] = process.argv.slice(2);
const document = await steeringDocument(vectors);
await using model = await LanguageModel.load(path);
for (const line of (await readFile(file, 'utf8')).trim().split('\n')) {
  const { text } = JSON.parse(line) as { text: string };
  const steered = await applyIntervention(model, document, [text]);
  const [ids] = steered.ids;
  const last = async (hooks: readonly FwdHook[]): Promise<number[]> => {
    const { logits } = await model.forward(ids ?? [], hooks);
    return [...logits.data.slice(-(logits.shape[2] as number)).slice(0, model.decoder.tokens)];
  };
  console.log(JSON.stringify({ ids, plain: await last([]), steered: await last(steered.fwdHooks) }));
}
