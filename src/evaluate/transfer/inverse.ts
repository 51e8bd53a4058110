/** @file The other way round: the target's activations, mapped back by an inverse, steer the source (docs/concepts/method.md#inverses). */
import {
  type EvaluationSettings,
  type Outcome,
  type Sample,
  transferSettings,
} from '../../contracts/index.ts';
import type { SampleTags } from '../arms/samples.ts';
import type { BlockOf, RowMap } from '../arms/spans.ts';
import type { ExperimentEnv } from '../env.ts';
import type { Subject } from '../subject/subject.ts';
import { prepareTransfer } from './data.ts';
import { steerByMap, steerShared } from './steer.ts';

/** Who is steered by whom: `subject` holds the source's prompts and unpatched completions. */
export interface InverseInput {
  readonly behaviour: string;
  readonly source: BlockOf;
  readonly target: BlockOf;
  readonly subject: Subject;
  readonly inverses: Readonly<Record<string, RowMap>>;
}

/** Rates of the mapped arm by inverse, and its completions. */
export interface InverseSteering {
  readonly outcomes: Readonly<Record<string, Pick<Outcome, 'removal' | 'restoration' | 'elicitation'>>>;
  readonly samples: readonly Sample[];
}

/** Steer the source by every inverse. */
export async function steerByInverses(
  { behaviour, source, target, subject, inverses }: InverseInput,
  { max_tokens, bootstrap }: Pick<EvaluationSettings, 'max_tokens' | 'bootstrap'>,
  { rng, progress, signal }: ExperimentEnv,
): Promise<InverseSteering> {
  const tags: SampleTags = { behaviour, stage: 'inverse', side: 'source' };
  const data = await prepareTransfer({ source: target, target: source }, subject, [], signal);
  const settings = { ...transferSettings.parse({ modes: ['set'], draws: 1 }), max_tokens, bootstrap };
  const shared = await steerShared(
    data,
    { ...settings, arms: ['native'] },
    { rng: rng.fork('inverse'), progress, signal, tags },
  );
  const outcomes: Record<string, Pick<Outcome, 'removal' | 'restoration' | 'elicitation'>> = {};
  const samples: Sample[] = [];
  for (const [method, mapped] of Object.entries(inverses)) {
    const steered = await steerByMap(
      { data, shared },
      { mapped },
      { ...settings, arms: ['mapped'] },
      { rng: rng.fork(`inverse ${method}`), progress, signal, tags },
    );
    outcomes[method] = steered.tally.outcome('mapped');
    for (const sample of steered.samples)
      samples.push({ ...sample, id: `${sample.id}/${method}`, arm: method });
  }
  return { outcomes, samples };
}
