/** @file What a fleet says of a target: the headline of its results with what bounds it, and how it is served. */
import {
  type BehaviourResults,
  FLEET_CONTROLS,
  type FleetBehaviour,
  NOISE_ARMS,
  type Rate,
  type Results,
  type UseGuide,
} from '../../contracts/index.ts';
import { headline, type TransferCase } from '../../figures/index.ts';
import {
  type Difference,
  difference,
  margin,
  restorationOf,
  strongestNoise,
} from '../verdict/differences.ts';
import { judge, RULE } from '../verdict/rule.ts';
import { verdictOf } from '../verdict/verdict.ts';

/** An entry per behaviour of `results`. `guides`: the run's `use/BEHAVIOUR/use.json`. */
export function fleetBehaviours(
  results: Pick<Results, 'behaviours'>,
  guides: readonly UseGuide[],
): FleetBehaviour[] {
  return results.behaviours.map((behaviour) => {
    const guide = guides.find((one) => one.behaviour === behaviour.pair.behaviour);
    return { ...figuresOf(behaviour), use: guide && servedBy(guide) };
  });
}

function figuresOf(behaviour: BehaviourResults): Omit<FleetBehaviour, 'use'> {
  const { pair, backdoor } = behaviour;
  const chosen = headline(behaviour);
  const { word } = judge(behaviour, chosen);
  const trigger_rate = chosen?.entry.trigger_rate ?? backdoor?.target?.trigger_rate;
  const head = {
    behaviour: pair.behaviour,
    placement: pair.placement,
    word,
    sentence: verdictOf(behaviour).sentence,
    has_behaviour: (trigger_rate?.value ?? 1) >= RULE.trigger && ownRestores(chosen),
    trigger_rate,
    blocks: { source: pair.source_block, target: pair.target_block },
    cost: costOf(behaviour),
  };
  if (chosen === null) return { ...head, controls: [] };
  const { entry, kind, fit } = chosen;
  const { mapped, native } = entry.arms;
  const noise = strongestNoise(chosen);
  return {
    ...head,
    map: `${kind}.${fit}`,
    restoration: mapped?.restoration,
    elicitation: mapped?.elicitation,
    native: native?.restoration,
    noise: noise && { arm: noise.arm, restoration: noise.rate },
    noise_elicitation: strongestElicitation(chosen),
    margin: asRate(margin(behaviour, chosen), mapped?.restoration),
    controls: FLEET_CONTROLS.flatMap((control) => {
      const restoration = restorationOf(behaviour, chosen, control);
      const found = asRate(difference(behaviour, chosen, control), mapped?.restoration);
      return restoration && found
        ? [{ control, restoration, difference: found, beaten: found.ci95[0] > RULE.control }]
        : [];
    }),
  };
}

/** Whether the target's own vector restores enough for anything to be carried, as far as is known. */
function ownRestores(chosen: TransferCase | null): boolean {
  return (chosen?.entry.arms.native?.restoration?.ci95[1] ?? 1) >= RULE.native;
}

function strongestElicitation({ entry }: TransferCase): FleetBehaviour['noise_elicitation'] {
  return NOISE_ARMS.flatMap((arm) => {
    const elicitation = entry.arms[arm]?.elicitation;
    return elicitation ? [{ arm, elicitation }] : [];
  }).sort((a, b) => b.elicitation.value - a.elicitation.value)[0];
}

/** A difference over the prompts of the mapped arm. */
function asRate(found: Difference | undefined, mapped: Rate | undefined): Rate | undefined {
  return found && mapped && { value: found.difference, n: mapped.n, ci95: [found.ci95[0], found.ci95[1]] };
}

function costOf({ cost_kl, capabilities }: BehaviourResults): FleetBehaviour['cost'] {
  const tasks = Object.entries(capabilities ?? {}).flatMap(([task, { bad_mapped: fixed, safe }]) =>
    fixed && safe ? [[task, { fixed, safe }] as const] : [],
  );
  return { kl: cost_kl?.safe_mapped, capabilities: Object.fromEntries(tasks) };
}

/** The command that serves the target, where the run could write one. */
function servedBy({ behaviour, documents, commands }: UseGuide): FleetBehaviour['use'] {
  const document = documents.find(({ name }) => name === 'mapped') ?? documents[0];
  const serve = commands.find(({ text }) => text.startsWith('crosspatch serve '));
  return (
    document && serve && { guide: `use/${behaviour}/README.md`, document: document.file, serve: serve.text }
  );
}
