/** @file Damaged files end in a clean error or in success: no crash, no hang, no memory the file does not justify. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InputError, Rng } from '../../base/index.ts';
import { mutateBytes, mutateJsonBytes, safetensorsBytes } from './fuzz.helper.ts';
import { ggufConfig } from './gguf/config.ts';
import { readGguf } from './gguf/read.ts';
import { type ByteSource, memorySource } from './gguf/source.ts';
import { planTensors } from './gguf/tensors.ts';
import { headerLength, parseSafetensorsHeader } from './safetensors-header.ts';

const ROUNDS = 8000;
const goldens = join(import.meta.dirname, '../../../test/parity/gguf');

/** Run `attempt`; true if it went through, false if it was refused; anything but an `InputError` of one line fails. */
function cleanly(attempt: () => void, seed: string): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    const isClean = error instanceof InputError && /^.+: wanted .+, got .+; .+$/.test(error.message);
    if (!isClean || error.message.length > 1000)
      throw new Error(`no clean refusal in ${seed}`, { cause: error });
    return false;
  }
}

/** Peak memory of the process in bytes, by the kernel's count. */
const peak = (): number => process.resourceUsage().maxRSS * 1024;

describe('safetensors headers', () => {
  const header = {
    __metadata__: { format: 'pt' },
    'model.embed_tokens.weight': { dtype: 'F32', shape: [4, 8], data_offsets: [0, 128] },
    'a.half': { dtype: 'F16', shape: [3], data_offsets: [128, 134] },
    'b.brain': { dtype: 'BF16', shape: [1, 1, 5], data_offsets: [134, 144] },
    'c.empty': { dtype: 'I64', shape: [0, 7], data_offsets: [144, 144] },
    'd.scalar': { dtype: 'U8', shape: [], data_offsets: [144, 145] },
  };
  const data = new Uint8Array(145);

  function parse(file: Uint8Array): void {
    const length = headerLength(file.subarray(0, 8), file.length, 'fuzz');
    const { tensors } = parseSafetensorsHeader(file.subarray(8, 8 + length), file.length, 'fuzz');
    // whatever is accepted must lie in the file, in order, without overlap
    let end = 8 + length;
    for (const t of tensors) {
      expect(t.offset).toBe(end);
      end += t.byteLength;
    }
    expect(end).toBe(file.length);
  }

  test('the undamaged file is accepted', () => {
    expect(() =>
      parse(safetensorsBytes(new TextEncoder().encode(JSON.stringify(header)), data)),
    ).not.toThrow();
  });

  test(`${ROUNDS} damaged ones are accepted or refused cleanly`, () => {
    const rng = new Rng(20_261);
    const whole = safetensorsBytes(new TextEncoder().encode(JSON.stringify(header)), data);
    const before = peak();
    let refused = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const file =
        i % 2 === 0 ? mutateBytes(rng, whole) : safetensorsBytes(mutateJsonBytes(rng, header), data);
      if (!cleanly(() => parse(file), `safetensors round ${i}`)) refused++;
    }
    expect(refused).toBeGreaterThan(ROUNDS * 0.9);
    expect(peak() - before).toBeLessThan(200e6);
  }, 30_000);
});

describe('GGUF headers', async () => {
  const files = await Promise.all(
    ['tiny-llama.gguf', 'tiny-gemma3.gguf'].map(
      async (name) => new Uint8Array(await readFile(join(goldens, name))),
    ),
  );

  /** Header, config and plan, as `openCheckpoint` makes them; counts the bytes it takes from the file. */
  function parse(file: Uint8Array): number {
    const memory = memorySource(file);
    let taken = 0;
    const source: ByteSource = {
      size: memory.size,
      read(offset, length) {
        expect(offset + length).toBeLessThanOrEqual(file.length);
        taken += length;
        return memory.read(offset, length);
      },
    };
    const gguf = readGguf(source, 'fuzz');
    const config = ggufConfig(gguf, source, 'fuzz');
    for (const t of planTensors(gguf, config, 'fuzz'))
      expect(t.source.offset + t.source.byteLength).toBeLessThanOrEqual(file.length);
    return taken;
  }

  test('the undamaged files are accepted and read once', () => {
    for (const file of files) expect(parse(file)).toBeLessThan(file.length + 100);
  });

  test(`${ROUNDS} damaged ones are accepted or refused cleanly`, () => {
    const rng = new Rng(20_262);
    const before = peak();
    let refused = 0;
    for (let i = 0; i < ROUNDS; i++) {
      const file = rng.pick(files);
      // most of these files is header: 2 KB of metadata, 3 KB of tensor directory
      const damaged = mutateBytes(rng, file, 5000);
      if (!cleanly(() => parse(damaged), `GGUF round ${i}`)) refused++;
    }
    expect(refused).toBeGreaterThan(ROUNDS * 0.5);
    expect(refused).toBeLessThan(ROUNDS);
    expect(peak() - before).toBeLessThan(200e6);
  }, 30_000);
});
