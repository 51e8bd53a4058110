/** @file Tokenizer files: `tokenizer.json`, its config and special tokens; what loads must encode and decode. */
import type { Rng } from '../../../src/base/index.ts';
import type { TokenizerFiles } from '../../../src/models/tokenizer/files.ts';
import { byteBpeFiles, spmMetadata, wordLevelFiles } from '../../../src/models/tokenizer/fixtures.helper.ts';
import { tokenizerFilesFromGguf } from '../../../src/models/tokenizer/gguf.ts';
import { tokenizerFromFiles } from '../../../src/models/tokenizer/load.ts';
import { mostly, mutateJson } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const TEXT = "The cat  didn't\tsit…\n|prod| 12345 ÉÀ 日本 🙂 <s>\r\n";

export const start: StartTarget = async () => {
  const seeds: TokenizerFiles[] = [wordLevelFiles, byteBpeFiles, tokenizerFilesFromGguf(spmMetadata())];
  // The vocabulary is most of a file; damage aims at the rest.
  const parts = [
    'normalizer',
    'pre_tokenizer',
    'post_processor',
    'decoder',
    'added_tokens',
    'model',
  ] as const;
  const damaged = (rng: Rng, files: TokenizerFiles): TokenizerFiles => {
    if (rng.int(5) === 0)
      return { ...files, tokenizerConfig: mutateJson(rng, files.tokenizerConfig ?? {}) as never };
    const json = { ...(files.tokenizerJson as Record<string, unknown>) };
    const part = rng.pick(parts);
    if (part === 'model' && rng.int(3) > 0) {
      const { vocab, merges, ...rest } = json.model as Record<string, unknown>;
      json.model = { vocab, merges, ...(mutateJson(rng, rest) as object) };
    } else json[part] = mutateJson(rng, json[part]);
    return { ...files, tokenizerJson: json as never };
  };
  return target<TokenizerFiles>({
    sources:
      /\/src\/models\/tokenizer\/(load|tokenizer|pipeline|normalizer|pretokenizer|post-processor|decoder|model|added-tokens|parse|pattern|merge)\.ts/,
    make: (rng) => {
      const files = rng.pick(seeds);
      return mostly(rng, 10, files, () => damaged(rng, files));
    },
    size: (files) => JSON.stringify(files).length,
    attempt(files) {
      const tokenizer = tokenizerFromFiles(files, 'fuzz');
      tokenizer.decode(tokenizer.encode(TEXT).ids);
    },
  });
};
