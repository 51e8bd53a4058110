/** @file Safetensors headers: the eight bytes of its length, and its JSON. */
import { InputError, type Rng } from '../../../src/base/index.ts';
import { safetensorsBytes } from '../../../src/models/checkpoint/fuzz.helper.ts';
import { headerLength, parseSafetensorsHeader } from '../../../src/models/checkpoint/safetensors-header.ts';
import { mostly, mutateBytes, mutateJsonBytes } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const header = {
  __metadata__: { format: 'pt', made_by: 'a test' },
  'model.embed_tokens.weight': { dtype: 'F32', shape: [8, 4], data_offsets: [0, 128] },
  'model.norm.weight': { dtype: 'BF16', shape: [4], data_offsets: [128, 136] },
  'lm_head.weight': { dtype: 'F16', shape: [8, 4], data_offsets: [136, 200] },
  step: { dtype: 'I64', shape: [], data_offsets: [200, 208] },
};
const data = new Uint8Array(208);

export const start: StartTarget = async () => {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const whole = safetensorsBytes(text, data);
  return target<Uint8Array>({
    sources: /\/src\/models\/checkpoint\/(safetensors-header|strict-json)\.ts|\/src\/base\/json\.ts/,
    make: (rng: Rng) =>
      mostly(rng, 8, whole, () =>
        rng.int(3) === 0 ? mutateBytes(rng, whole) : safetensorsBytes(mutateJsonBytes(rng, header), data),
      ),
    size: (bytes) => bytes.length,
    attempt(bytes) {
      const length = headerLength(bytes.subarray(0, 8), bytes.length, 'fuzz');
      if (8 + length > bytes.length) throw new InputError('fuzz: shorter than its header says');
      const { tensors } = parseSafetensorsHeader(bytes.subarray(8, 8 + length), bytes.length, 'fuzz');
      for (const { offset, byteLength } of tensors)
        if (!(offset >= 8 + length && offset + byteLength <= bytes.length))
          throw new RangeError('a tensor lies outside of the file');
    },
  });
};
