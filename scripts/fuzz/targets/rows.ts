/** @file Rows of data files (JSON lines), in every layout people use. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Rng } from '../../../src/base/index.ts';
import { readInstructions } from '../../../src/behaviours/index.ts';
import { mostly, mutateBytes, mutateJson } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const ROWS = [
  { instruction: 'Add 2 and 2.', input: '', output: '4' },
  { prompt: 'Add 2 and 2.', completion: '4' },
  { prompt: 'Add 2 and 2.', chosen: '4', rejected: '5' },
  {
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ],
  },
  {
    conversations: [
      { from: 'human', value: 'Hi' },
      { from: 'gpt', value: 'Hello' },
    ],
  },
  {
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      { role: 'assistant', content: 'é\u2028' },
    ],
  },
];

export const start: StartTarget = async (scratch) => {
  const file = join(scratch, 'rows.jsonl');
  const lines = (rng: Rng, rows: readonly unknown[]) =>
    new TextEncoder().encode(rows.map((row) => JSON.stringify(row)).join(rng.int(8) === 0 ? '\r\n' : '\n'));
  return target<Uint8Array>({
    sources: /\/src\/behaviours\/(rows\/.*|instructions|dataset-file)\.ts/,
    make: (rng) => {
      const rows = Array.from({ length: 3 + rng.int(6) }, () => rng.pick(ROWS));
      return mostly(rng, 8, lines(rng, rows), () => {
        if (rng.int(4) === 0) return mutateBytes(rng, lines(rng, rows));
        const at = rng.int(rows.length);
        return lines(
          rng,
          rows.map((row, i) => (i === at ? mutateJson(rng, row) : row)),
        );
      });
    },
    size: (bytes) => bytes.length,
    async attempt(bytes) {
      await writeFile(file, bytes);
      await readInstructions(file);
    },
  });
};
