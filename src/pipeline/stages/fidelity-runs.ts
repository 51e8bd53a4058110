/** @file Stage `fidelity-runs`: what both models say on mapped activations, where judging that is left to stages of their own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJsonAtomic } from '../../base/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, type StageInput } from '../stage.ts';
import {
  completeBothWays,
  type FidelityStageParams,
  fidelityParams,
  type Said,
  saidInputs,
} from './fidelity-setup.ts';

const SAID = 'said.json';

/** Unpatched, mapped and its controls: completions per prompt and map. */
const FIDELITY_STATES = 7;

export const fidelityRunsStage = defineStage({
  name: 'fidelity-runs',
  version: '1',
  module: import.meta.url,
  child: true,
  params: fidelityParams,
  inputs: saidInputs,
  estimate: (p, info) => ({
    tokens: fidelityCompletions(p) * (promptTokens(info) + p.evaluation.max_tokens),
    memory_bytes: pairBytes(info.models),
  }),
  async run({ folder, ...ctx }): Promise<{ readonly rows: number }> {
    const said = await completeBothWays(ctx);
    const { rows, inverses, steered } = said;
    const kept: Said = {
      rows: Object.fromEntries(
        Object.entries(rows).map(([way, all]) => [
          way,
          all.map(({ prompt: { id, prompt, text, trigger }, ...row }) => ({
            prompt: { id, prompt, text, trigger },
            ...row,
          })),
        ]),
      ),
      inverses: inverses.map(({ label, map: { fit } }) => ({ label, map: { fit } })),
      steered,
    };
    await writeJsonAtomic(join(folder, SAID), kept);
    return { rows: Object.values(rows).reduce((n, all) => n + all.length, 0) };
  },
});

/** Completions of both models, at most. */
export function fidelityCompletions({
  fidelity: f,
  inverse,
}: Pick<FidelityStageParams, 'fidelity' | 'inverse'>): number {
  const back = inverse ? inverse.methods.length : 0;
  const forwards = f ? f.prompts * (f.maps.length * FIDELITY_STATES + back) : 0;
  return 2 * (forwards + (inverse ? inverse.prompts * back : 0));
}

/** What a finished stage found. The file is its own, and the store's seal vouches for it. */
export async function readSaid({ folder }: StageInput<unknown>): Promise<Said> {
  return JSON.parse(await readFile(join(folder, SAID), 'utf8')) as Said;
}
