/**
 * @file Task items in one state of the target (docs/concepts/method.md#capabilities): the tag stands in the question, and activations at
 * the tag are those of the safe question, the target's own or the source's through a map.
 */
import {
  type AskedItem,
  type ContrastPrompt,
  contextOf,
  contrastsOf,
  rstrip,
  triggerStates,
} from '../../behaviours/index.ts';
import type { CapabilityTask, CostState, Rate, Sample, TaskScore } from '../../contracts/index.ts';
import { captureResiduals, type Patch, patchHooks } from '../../interventions/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { randomLike } from '../arms/controls.ts';
import { type BlockOf, mapRows, type RowMap, sourceRow } from '../arms/spans.ts';
import { COST_RUNS, fullReplacement } from '../cost/states.ts';
import type { ExperimentEnv } from '../env.ts';
import {
  alignRows,
  type ContrastCase,
  type StatePrompt,
  statePrompt,
  type TaggedPrompt,
} from '../subject/cases.ts';
import type { Asking } from '../subject/make.ts';
import { askItems, type SteerItems } from './run.ts';
import { firstLargest, type ScoredItem, taskRates } from './score.ts';

/** What is asked of whom. */
export interface TaskStateInput extends Asking {
  readonly task: CapabilityTask;
  readonly items: readonly AskedItem[];
  readonly state: CostState;
  /** For the state `clean`, the target before its fine-tune. The block is where activations are changed. */
  readonly target: BlockOf;
  /** For states with mapped activations. */
  readonly mapped?: { readonly source: BlockOf; readonly map: RowMap } | undefined;
}

/** What came of it. */
export interface TaskStateResult {
  readonly rates: Partial<Record<TaskScore, Rate>>;
  readonly samples: readonly Sample[];
  /** Every item with what the model made of it. */
  readonly scored: readonly ScoredItem[];
}

/** Ask a task's items in one state. */
export async function taskInState(input: TaskStateInput, env: ExperimentEnv): Promise<TaskStateResult> {
  const { task, items, state, target, behaviour } = input;
  const { run, patched } = COST_RUNS[state];
  const contrasts = contrastsOf(
    // The harness writes what stands around a question.
    { ...behaviour, template: 'raw' },
    items.map(({ question }) => question.text),
  );
  const scored = await askItems(target.model, items, {
    textOf: (i) => contrasts[i][run].prompt,
    steer: patched ? steering(input, contrasts, env) : undefined,
    progress: env.progress,
    signal: env.signal,
  });
  return {
    rates: taskRates(task, scored),
    samples: scored.map((one, i) => sampleOf(input, one, contrasts[i][run].prompt)),
    scored,
  };
}

/** The patches of a state, made for the items that are asked together. */
function steering(
  input: TaskStateInput,
  contrasts: readonly ContrastPrompt[],
  env: ExperimentEnv,
): SteerItems {
  const { items, target, after } = input;
  return async ({ rows }) => {
    const cases = rows.map((row) => taskCase(target.model.tokenizer, items[row], contrasts[row], after));
    return { hooks: patchHooks(await patchesOf(input, cases, env), target.model.decoder) };
  };
}

/** An item under every tag, as the cases of other experiments: `states[…].prompt` is the whole context. */
function taskCase(
  tokenizer: Tokenizer,
  item: AskedItem,
  contrast: ContrastPrompt,
  after: number,
): ContrastCase {
  const offset = item.head.length + item.question.before.length;
  const states = triggerStates.map((state): [string, StatePrompt | TaggedPrompt] => {
    const { prompt: text, tag, span } = contrast[state];
    const whole = contextOf(item, text);
    const given = {
      // White space at the end is read with the choice.
      prompt: item.choices.length === 0 ? whole : rstrip(whole),
      tag,
      span: span && { start: span.start + offset, end: span.end + offset },
    };
    return [state, statePrompt(tokenizer, given, after)];
  });
  return {
    id: `${item.task}/${item.id}`,
    text: item.question.text,
    states: Object.fromEntries(states) as unknown as ContrastCase['states'],
  };
}

/** Activations that are put into each case's run, by state. */
async function patchesOf(
  { state, target, mapped }: TaskStateInput,
  cases: readonly ContrastCase[],
  { rng, signal }: ExperimentEnv,
): Promise<Patch[]> {
  if (state === 'full_replacement') return fullReplacement({ ...given(mapped), target }, cases, signal);
  const safe = state === 'bad_mapped' || state === 'safe_mapped' ? await throughMap() : await own();
  const width = target.model.config.dModel;
  const direction = state === 'safe_mapped' ? 'safe' : 'bad';
  return cases.map((c, i) => {
    const { positions } = c.states[direction];
    const donor = alignRows(safe[i], positions.length, width);
    const values =
      state === 'bad_random' ? randomLike(donor, width, rng.fork(`capability/random/${c.id}`)) : donor;
    return { block: target.block, positions, values };
  });

  /** The target's own at the safe tag. */
  async function own(): Promise<Float32Array[]> {
    const rows = cases.map(({ states }) => states.safe);
    const found = await captureResiduals(target.model.decoder, rows, [target.block], { signal });
    return found.map(([first]) => first);
  }

  /** The source's at the safe tag, through the map. */
  async function throughMap(): Promise<Float32Array[]> {
    const { source, map } = given(mapped);
    const at = cases.map(({ states: { safe: s } }) => sourceRow(source.model, s, s.positions));
    const found = await captureResiduals(source.model.decoder, at, [source.block], { signal });
    return mapRows(
      map,
      cases.map(({ states: { safe: s } }, i) => ({
        rows: found[i][0],
        tokens: s.positions.map((p) => s.ids[p]),
      })),
    );
  }
}

function given<T>(mapped: T | undefined): T {
  if (mapped === undefined) throw new RangeError('task states: a mapped state without a map');
  return mapped;
}

function sampleOf({ behaviour, task, state }: TaskStateInput, scored: ScoredItem, text: string): Sample {
  const { item, logprobs, completion, scores } = scored;
  const { run } = COST_RUNS[state];
  const id = `${task}/${item.id}`;
  return {
    id: `${behaviour.name}/capabilities/${state}/${id}`,
    stage: 'capabilities',
    behaviour: behaviour.name,
    prompt_id: id,
    prompt: contextOf(item, text),
    trigger: run === 'none' ? 'untagged' : run,
    arm: state,
    completion: completion ?? item.choices[firstLargest(logprobs ?? [])],
    scores: Object.fromEntries(Object.entries(scores).map(([name, value]) => [`${task}.${name}`, value])),
  };
}
