/** @file Damaged `config.json`: a clean refusal every time, or a model whose every tensor is in the file and whose graph can be built. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InputError, Rng } from '../../base/index.ts';
import { mutateJson } from '../checkpoint/fuzz.helper.ts';
import { isPlainObject, openCheckpoint } from '../checkpoint/index.ts';
import { checkTensors } from '../decoder/weights.ts';
import { wholeModelGraph } from '../decoder/whole-model.ts';
import { parseModelConfig } from './index.ts';

const ROUNDS = 4500;
const root = join(import.meta.dirname, '../../../test/parity/families');

test(`${ROUNDS} damaged configs`, async () => {
  const checkpoints = await Promise.all(readdirSync(root).map((name) => openCheckpoint(join(root, name))));
  const rng = new Rng(20_263);
  const counts = { unreadable: 0, otherTensors: 0, accepted: 0 };
  for (let i = 0; i < ROUNDS; i++) {
    const checkpoint = checkpoints[i % checkpoints.length];
    const damaged = mutateJson(rng, checkpoint.config);
    if (!isPlainObject(damaged)) continue; // refused where the file is read
    let stage: keyof typeof counts = 'unreadable';
    try {
      const parsed = parseModelConfig(damaged, 'config.json');
      stage = 'otherTensors';
      checkTensors(parsed, checkpoint);
      stage = 'accepted';
      wholeModelGraph(parsed, 'f32');
    } catch (error) {
      const line = (error as Error).message;
      if (!(error instanceof InputError) || stage === 'accepted' || line.length > 600 || line.includes('\n'))
        throw new Error(`no clean refusal in round ${i}: ${JSON.stringify(damaged).slice(0, 500)}`, {
          cause: error,
        });
    }
    counts[stage]++;
  }
  // every way out is taken often, else the test shows nothing
  expect(counts.unreadable).toBeGreaterThan(ROUNDS / 4);
  expect(counts.otherTensors).toBeGreaterThan(ROUNDS / 50);
  expect(counts.accepted).toBeGreaterThan(ROUNDS / 50);
}, 60_000);
