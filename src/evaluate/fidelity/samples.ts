/** @file Sample rows of fidelity: every completion with its scores. */
import type { Sample } from '../../contracts/index.ts';
import type { FidelityRow } from './row.ts';
import type { JudgeScores } from './scores.ts';

/** One row per prompt and arm. `maps`: what the arms of maps under test are. */
export function fidelitySamples(
  tags: Pick<Sample, 'behaviour' | 'stage' | 'side'>,
  maps: ReadonlyMap<string, { readonly kind: string; readonly fit: string }>,
  rows: readonly FidelityRow[],
  scores: Readonly<Record<string, JudgeScores>>,
): Sample[] {
  return rows.flatMap((row, i): Sample[] => {
    const { prompt, own, source } = row;
    const common = {
      ...tags,
      prompt_id: prompt.prompt,
      prompt: prompt.text,
      trigger: prompt.trigger,
      references: { [prompt.trigger]: own, source },
    };
    const unpatched: Sample = {
      ...common,
      id: `${tags.behaviour}/${tags.stage}/unpatched/${prompt.id}/${prompt.trigger}`,
      arm: 'unpatched',
      completion: own,
    };
    const patched = Object.entries(row.completions).map(([arm, completion]): Sample => {
      const map = maps.get(arm);
      const name = map ? `${map.kind}.${map.fit}/mapped` : arm;
      const judged = Object.entries(scores).flatMap(([judge, { metric, byArm }]): [string, number][] => {
        const score = byArm[arm]?.[i];
        return score == null ? [] : [[`${judge}.${metric}`, score]];
      });
      return {
        ...common,
        id: `${tags.behaviour}/${tags.stage}/${name}/${prompt.id}/${prompt.trigger}`,
        arm: map ? 'mapped' : arm,
        map,
        completion,
        outcome: { unchanged: completion === own },
        scores: Object.fromEntries(judged),
      };
    });
    return [unpatched, ...patched];
  });
}
