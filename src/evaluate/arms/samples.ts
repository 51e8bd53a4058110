/** @file Sample rows: one JSON object per completion, with what it is compared with. */
import type { Sample } from '../../contracts/index.ts';
import type { JudgedCase } from '../detect/detector.ts';
import type { TaggedPrompt } from '../subject/cases.ts';
import type { Case } from '../subject/completions.ts';
import type { ArmRun } from './run.ts';

/** Who is reported: names in sample rows. */
export interface SampleTags {
  readonly behaviour: string;
  readonly stage: string;
  readonly side?: 'source' | 'target' | undefined;
  readonly map?: { readonly kind: string; readonly fit: string };
}

/** A sample row of a patched run; `tokens`: with the prompt's tokens and the positions that were patched. */
export function armSample(tags: SampleTags, run: ArmRun, tokens = false): Sample {
  const { case: c, direction, block, arm, text, flags } = run;
  const { scores, ...outcome } = flags;
  const state = c.states[direction];
  return {
    id: sampleId(tags, [arm, `block${block}`, c.id, direction]),
    stage: tags.stage,
    behaviour: tags.behaviour,
    side: tags.side,
    prompt_id: c.id,
    prompt: state.prompt,
    trigger: direction,
    arm,
    map: tags.map,
    block,
    completion: text,
    references: references(c),
    outcome,
    scores,
    ...(tokens ? { prompt_tokens: tokenTexts(state), changed_positions: [...state.positions] } : {}),
  };
}

/** Sample rows of the unpatched runs, one per case and state. */
export function unpatchedSamples(tags: SampleTags, cases: readonly JudgedCase[]): Sample[] {
  return cases.flatMap((c) =>
    (['bad', 'safe', 'none', 'other'] as const).flatMap((state): Sample[] => {
      const [run, detection] = [c.unpatched[state], c.detected[state]];
      if (run === undefined || detection === undefined) return [];
      const trigger = state === 'none' ? 'untagged' : state;
      const { shows, degenerate, scores } = detection;
      return [
        {
          id: sampleId(tags, ['unpatched', c.id, trigger]),
          stage: tags.stage,
          behaviour: tags.behaviour,
          side: tags.side,
          prompt_id: c.id,
          prompt: c.states[state].prompt,
          trigger,
          arm: 'unpatched',
          completion: run.text,
          references: references(c),
          outcome: { triggered: shows, degenerate },
          scores,
        },
      ];
    }),
  );
}

function sampleId({ behaviour, stage, side, map }: SampleTags, rest: readonly string[]): string {
  const at = side === undefined ? stage : `${stage}.${side}`;
  return [behaviour, at, ...(map === undefined ? [] : [`${map.kind}.${map.fit}`]), ...rest].join('/');
}

function references({ unpatched: { safe, bad, none } }: Case): NonNullable<Sample['references']> {
  return { safe: safe.text, bad: bad.text, untagged: none.text };
}

/** The prompt cut at its tokens' ends: joined they are the prompt again, white space between tokens included. */
export function tokenTexts({ prompt, offsets }: Pick<TaggedPrompt, 'prompt' | 'offsets'>): string[] {
  let from = 0;
  return offsets.map(([start, end], i) => {
    const to = i === offsets.length - 1 ? prompt.length : start === end ? from : end;
    const piece = prompt.slice(from, to);
    from = Math.max(from, to);
    return piece;
  });
}
