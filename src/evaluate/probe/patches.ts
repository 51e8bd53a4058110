/**
 * @file The patch of every arm of a probe, by the same helpers as the experiments: spans paired from their ends, controls, and
 * activations taken through a map. An arm that cannot be made is left out with the reason; the others run.
 */
import { errorLine, InputError, Rng } from '../../base/index.ts';
import { captureResiduals, norm, type Patch } from '../../interventions/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { randomDifference, randomLike } from '../arms/controls.ts';
import { mapRows, sourceRow } from '../arms/spans.ts';
import { meanReplacement } from '../fidelity/arms.ts';
import { alignRows, type StatePrompt, type TaggedPrompt } from '../subject/cases.ts';
import { minus } from '../vector.ts';
import { OPS } from './ops.ts';
import type { ProbeArm, ProbePrompts, ProbeQuestion } from './question.ts';

/** What a probe runs on. `mapped` needs the map and the model it starts from. */
export interface ProbeModels {
  readonly target: LanguageModel;
  readonly source?: LanguageModel | undefined;
  readonly map?: ActivationMap | undefined;
}

export interface ArmChange {
  readonly patch: Patch;
  /** Mean of ‖Δ‖/‖x‖ over positions. */
  readonly relative_change: number;
}

export interface ArmChanges {
  readonly changes: ReadonlyMap<ProbeArm, ArmChange>;
  /** Arms that cannot be run here, and why. */
  readonly missing: Readonly<Partial<Record<ProbeArm, string>>>;
}

/** Seed of the random arm: the same question gives the same answer. */
const SEED = 17;
const NO_TRIGGER = 'the prompt carries no trigger, so there is nothing to write in its place';

/** Patches of the arms that `question` asks for. */
export async function armChanges(
  models: ProbeModels,
  question: ProbeQuestion,
  prompts: ProbePrompts,
  signal?: AbortSignal,
): Promise<ArmChanges> {
  const changes = new Map<ProbeArm, ArmChange>();
  const missing: Partial<Record<ProbeArm, string>> = {};
  const { tagged } = prompts;
  const make = {
    native: tagged && (() => nativeChange(models.target, question, tagged, signal)),
    random: tagged && (() => randomChange(models.target, question, tagged, signal)),
    mapped: tagged && (() => mappedChange(models, question, tagged, signal)),
    mean_ablated: () => meanChange(models.target, question, prompts.own, signal),
  };
  for (const arm of question.arms) {
    if (arm === 'clean') continue;
    if (arm === 'donor') {
      if (!tagged) missing.donor = NO_TRIGGER;
      continue;
    }
    const change = make[arm];
    if (!change) {
      missing[arm] = NO_TRIGGER;
      continue;
    }
    try {
      changes.set(arm, await change());
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      missing[arm] = errorLine(error);
    }
  }
  return { changes, missing };
}

type Tagged = NonNullable<ProbePrompts['tagged']>;

/** The model's own activations of the donor. */
async function nativeChange(model: LanguageModel, q: ProbeQuestion, tagged: Tagged, signal?: AbortSignal) {
  const { x, t } = await spans(model, q.block, tagged, signal);
  return changed(q, { block: q.block, positions: tagged.own.positions, x, t, v: minus(t, x) });
}

/** Random directions of the donor's length, and random steps as long as the true difference. */
async function randomChange(model: LanguageModel, q: ProbeQuestion, tagged: Tagged, signal?: AbortSignal) {
  const width = model.config.dModel;
  const { x, t } = await spans(model, q.block, tagged, signal);
  return changed(q, {
    block: q.block,
    positions: tagged.own.positions,
    x,
    t: randomLike(t, width, new Rng(SEED)),
    v: randomDifference(x, t, width, new Rng(SEED)),
  });
}

/** The source's activations of the donor, mapped; a difference is carried as the difference of what is carried. */
async function mappedChange(models: ProbeModels, q: ProbeQuestion, tagged: Tagged, signal?: AbortSignal) {
  const { target, source, map } = models;
  if (map === undefined || source === undefined)
    throw new InputError('choose a map and the model it starts from');
  map.assertFits(await endOf(source, map.source), await endOf(target, map.target));
  const { own, donor } = tagged;
  const sides = q.op === 'set' ? [donor] : [donor, own];
  const places = sides.map((prompt) => sourceRow(source, prompt, prompt.positions));
  const read = await captureResiduals(source.decoder, places, [map.source.block], { signal });
  const [mapped, from] = await mapRows(
    map,
    sides.map(({ ids, positions }, i) => ({ rows: read[i][0], tokens: positions.map((p) => ids[p]) })),
  );
  const { block, width } = map.target;
  const [[x]] = await captureResiduals(target.decoder, [own], [block], { signal });
  const t = alignRows(mapped, own.positions.length, width);
  const v = from === undefined ? minus(t, x) : minus(t, from);
  return changed(q, { block, positions: own.positions, x, t, v });
}

/** The prompt's own mean at every position but the first. */
async function meanChange(
  model: LanguageModel,
  q: ProbeQuestion,
  { ids }: StatePrompt,
  signal?: AbortSignal,
) {
  if (ids.length < 2) throw new InputError('the prompt is one token long');
  const width = model.config.dModel;
  const row = { ids, positions: ids.map((_, i) => i) };
  const [[all]] = await captureResiduals(model.decoder, [row], [q.block], { signal });
  const [x, t] = [all, meanReplacement(all, width)].map((rows) => rows.subarray(width));
  const positions = row.positions.slice(1);
  return changed({ ...q, op: 'set' }, { block: q.block, positions, x, t, v: minus(t, x) });
}

/** Own activations at the span, and the donor's laid on it. */
async function spans(model: LanguageModel, block: number, { own, donor }: Tagged, signal?: AbortSignal) {
  const [[x], [given]] = await captureResiduals(model.decoder, [own, donor], [block], { signal });
  return { x, t: alignRows(given, own.positions.length, model.config.dModel) };
}

interface Site {
  readonly block: number;
  readonly positions: TaggedPrompt['positions'];
  readonly x: Float32Array;
  readonly t: Float32Array;
  readonly v: Float32Array;
}

function changed({ op, strength }: ProbeQuestion, { block, positions, x, t, v }: Site): ArmChange {
  const width = x.length / positions.length;
  const values = OPS[op]({ x, t, v, alpha: strength, width });
  const ratios = positions.map((_, i) => {
    const [from, to] = [i * width, (i + 1) * width];
    const before = x.subarray(from, to);
    return norm(minus(values.subarray(from, to), before)) / (norm(before) || 1);
  });
  const relative_change = ratios.reduce((a, b) => a + b, 0) / ratios.length;
  return { patch: { block, positions, values }, relative_change };
}

/** One end of a map as this model would be it. */
async function endOf(
  model: LanguageModel,
  { block, hook }: { readonly block: number; readonly hook: string },
) {
  return { model: await model.checkpoint.contentHash(), block, hook, width: model.config.dModel };
}
