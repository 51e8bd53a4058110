/** @file `model_type` → family. To add one, see docs/contributing/add-a-family.md. */
import { InputError, showValue } from '../../base/index.ts';
import type { ModelConfig } from '../config.ts';
import { gemma2, gemma3 } from './gemma.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { qwen2, qwen3 } from './qwen.ts';
import { ConfigReader } from './reader.ts';

const families: Readonly<Record<string, (c: ConfigReader) => ModelConfig>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3_text: gemma3,
};

/** Every supported `model_type`. */
export const supportedFamilies: readonly string[] = Object.keys(families);

/**
 * Check a `config.json` and say what the model computes. Throws `InputError` for an unknown architecture, for a key that
 * would change the maths, and for values out of range. `where` names the file in errors.
 */
export function parseModelConfig(config: Readonly<Record<string, unknown>>, where: string): ModelConfig {
  const type = config.model_type;
  const family = typeof type === 'string' && Object.hasOwn(families, type) ? families[type] : undefined;
  if (family === undefined) {
    throw new InputError(
      `${where}: model_type ${showValue(type)} is not supported; supported are ${supportedFamilies.join(', ')}`,
      { id: 'model-unsupported' },
    );
  }
  const reader = new ConfigReader(config, where);
  const parsed = family(reader);
  reader.done();
  return parsed;
}
