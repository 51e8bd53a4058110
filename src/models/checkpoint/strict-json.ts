/** @file JSON of model files: an object, as strict as the formats mean it. */
import { isPlainObject, parseJson, showValue } from '../../base/index.ts';
import { CheckpointError } from './errors.ts';

/**
 * Parse UTF-8 JSON that must be an object ({@link parseJson}: no key twice, no endless nesting, a byte-order mark is skipped).
 * `where` begins every message.
 *
 * @throws InputError
 */
export function parseStrictJsonObject(
  bytes: Uint8Array,
  where: string,
  maxDepth?: number,
): Record<string, unknown> {
  const value = parseJson(bytes, where, {
    maxDepth,
    next: 'the file is damaged: download or write it again',
  });
  if (!isPlainObject(value))
    throw new CheckpointError(where, { wanted: 'a JSON object', got: showValue(value) });
  return value;
}

export { isPlainObject };
