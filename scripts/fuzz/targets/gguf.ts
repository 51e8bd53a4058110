/** @file GGUF files: header, metadata, directory, the config they stand for, and the values of the first tensors. */
import { readFile } from 'node:fs/promises';
import type { Rng } from '../../../src/base/index.ts';
import { ggufConfig, ggufGenerationConfig } from '../../../src/models/checkpoint/gguf/config.ts';
import { readGguf } from '../../../src/models/checkpoint/gguf/read.ts';
import { memorySource } from '../../../src/models/checkpoint/gguf/source.ts';
import { plannedValues, planTensors } from '../../../src/models/checkpoint/gguf/tensors.ts';
import { tokenizerFilesFromGguf } from '../../../src/models/tokenizer/gguf.ts';
import { mostly, mutateBytes } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

/** Most of these files' header: 2 KB of metadata, 3 KB of directory. */
const HEADER = 5000;

export const start: StartTarget = async () => {
  const seeds = await Promise.all(
    ['tiny-llama', 'tiny-gemma3'].map(
      async (name) =>
        new Uint8Array(await readFile(new URL(`../../../test/parity/gguf/${name}.gguf`, import.meta.url))),
    ),
  );
  return target<Uint8Array>({
    sources: /\/src\/models\/checkpoint\/gguf\/(read|source|config|tensors|keys|dequantise|rope-scaling)\.ts/,
    make: (rng: Rng) => {
      const seed = rng.pick(seeds);
      return mostly(rng, 12, seed, () => mutateBytes(rng, seed, rng.int(3) === 0 ? seed.length : HEADER));
    },
    size: (bytes) => bytes.length,
    async attempt(bytes) {
      const source = memorySource(bytes);
      const gguf = readGguf(source, 'fuzz');
      const config = ggufConfig(gguf, source, 'fuzz');
      ggufGenerationConfig(gguf);
      for (const tensor of planTensors(gguf, config, 'fuzz').slice(0, 4))
        for await (const _ of plannedValues(tensor, async (at, n) => bytes.slice(at, at + n)));
      if (gguf.metadata.has('tokenizer.ggml.merges')) tokenizerFilesFromGguf(gguf.metadata);
    },
  });
};
