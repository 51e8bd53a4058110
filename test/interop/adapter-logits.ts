/**
 * @file Next-token logits of a model with an adapter, for `peer_peft.py`.
 *
 *   npx tsx test/interop/adapter-logits.ts MODEL ADAPTER PROMPTS.jsonl > ours.jsonl
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LanguageModel } from '../../src/models/index.ts';
import { mergeAdapterFolder } from '../../src/train/index.ts';

const [path = '', adapter = '', file = ''] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'adapter-logits-'));
try {
  const out = join(folder, 'merged');
  await mergeAdapterFolder({ model: path, adapter, out });
  await using plain = await LanguageModel.load(path);
  await using merged = await LanguageModel.load(out);
  for (const line of (await readFile(file, 'utf8')).trim().split('\n')) {
    const { text } = JSON.parse(line) as { text: string };
    const ids = plain.tokenizer.encodeIds(text);
    const last = async (model: LanguageModel): Promise<number[]> => {
      const { logits } = await model.forward(ids);
      return [...logits.data.slice(-(logits.shape[2] as number)).slice(0, model.decoder.tokens)];
    };
    console.log(JSON.stringify({ ids, plain: await last(plain), adapted: await last(merged) }));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
