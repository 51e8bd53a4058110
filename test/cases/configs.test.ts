/** @file `config.json` with the keys that the repositories of real checkpoints have: each is read, or refused by the key that matters. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseModelConfig } from '../../src/models/index.ts';

type Config = Record<string, unknown>;
const { loads, refused } = JSON.parse(readFileSync(new URL('configs.json', import.meta.url), 'utf8')) as {
  loads: Record<string, Config>;
  refused: Record<string, readonly [Config, string]>;
};

it.each(Object.entries(loads))('%s', (name, config) => {
  const { dModel, vocabSize, blocks } = parseModelConfig(config, name);
  expect([dModel, vocabSize, blocks.length]).toEqual([
    config.hidden_size,
    config.vocab_size,
    config.num_hidden_layers,
  ]);
});

it.each(Object.entries(refused))('%s is refused by name', (name, [config, message]) => {
  expect(() => parseModelConfig(config, name)).toThrow(message);
});
