/** @file Random-weight models of every family for tests, with a word-level tokenizer over their small vocabularies. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Owned } from '../base/index.ts';
import { LanguageModel } from './language-model.ts';
import { trainWordLevel } from './tokenizer/index.ts';

const families = join(import.meta.dirname, '../../test/parity/families');

/** A folder that vanishes with its owner. */
export interface TemporaryFolder extends Owned {
  readonly path: string;
}

/** A Hugging Face folder of the family's golden checkpoint; token id i ≥ 4 is the word `w{i}`, `<s>` (1) comes first, `</s>` is 2. */
export async function randomModelFolder(family: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'crosspatch-random-'));
  const from = join(families, family);
  await cp(from, path, { recursive: true, filter: (source) => !source.includes('golden') });
  const { vocab_size: vocabSize } = JSON.parse(await readFile(join(from, 'config.json'), 'utf8')) as {
    vocab_size: number;
  };
  const words = Array.from({ length: vocabSize - 4 }, (_, i) => `w${i + 4}`);
  const { tokenizerJson, tokenizerConfig } = trainWordLevel(words);
  await writeFile(join(path, 'tokenizer.json'), JSON.stringify(tokenizerJson));
  await writeFile(join(path, 'tokenizer_config.json'), JSON.stringify(tokenizerConfig));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The loaded model of {@link randomModelFolder}; its folder goes with it. */
export async function randomModel(family: string): Promise<{ model: LanguageModel } & Owned> {
  const folder = await randomModelFolder(family);
  const model = await LanguageModel.load(folder.path, { threads: 1 });
  return {
    model,
    async [Symbol.asyncDispose]() {
      await model[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
