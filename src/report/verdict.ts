/**
 * @file The verdict in plain words, computed from the figures: what the map restores, what it beats, what it does not, what it costs.
 * "Beats" = the 95 % intervals do not overlap (stricter than a paired test, and needs no samples).
 */
import {
  type BehaviourResults,
  NOISE_ARMS,
  type Outcome,
  type Rate,
  type Results,
} from '../contracts/index.ts';
import { headline, percent, short, TRANSFER_STYLE, type TransferCase } from '../figures/index.ts';

/** Paragraphs: one a behaviour, then, for several, one line that puts them side by side. Never empty. */
export function verdict(results: Results): string[] {
  return verdictSentences(results).map((sentences) => sentences.join(' '));
}

/** The same, each paragraph as its sentences: the first is the claim, the others are what to hold against it. */
export function verdictSentences(results: Results): string[][] {
  const paragraphs = results.behaviours.map(behaviourVerdict);
  const beside = sideBySide(results.behaviours);
  if (paragraphs.length === 0) return [['Nothing was evaluated.']];
  return beside ? [...paragraphs, [beside]] : paragraphs;
}

function behaviourVerdict(behaviour: BehaviourResults): string[] {
  const { pair } = behaviour;
  const name = title(behaviour);
  const chosen = headline(behaviour);
  if (!chosen)
    return [`${name}: steering transfer was not evaluated in this run.`, trained(behaviour)].filter(isSaid);
  const where =
    pair.source_block === undefined || pair.target_block === undefined
      ? `${pair.source} → ${pair.target}`
      : `${pair.source} block ${pair.source_block} → ${pair.target} block ${pair.target_block}`;
  return [
    `${name}: ${restores(chosen, where)}`,
    noise(chosen),
    elicits(chosen),
    ...comparisons(behaviour, chosen),
    cost(behaviour),
    trained(behaviour),
    ...alarms(behaviour),
  ].filter(isSaid);
}

function isSaid(sentence: string): boolean {
  return sentence !== '';
}

function restores({ kind, fit, entry }: TransferCase, where: string): string {
  const { mapped, native } = entry.arms;
  const rate = mapped?.restoration;
  const map = `the ${kind} map${fit === 'with_tags' ? '' : ` (${fit})`} (${where})`;
  if (!rate) return `${map} was not measured for restoration.`;
  const own = native?.restoration ? `; the target’s own vector: ${percent(native.restoration.value)}` : '';
  return `${map} restores the ordinary answer in ${withInterval(rate)} of ${rate.n} triggered prompts${own}.`;
}

function noise({ entry }: TransferCase): string {
  const mapped = entry.arms.mapped?.restoration;
  const arms = NOISE_ARMS.flatMap((arm) => {
    const rate = entry.arms[arm]?.restoration;
    return rate ? [{ arm, rate }] : [];
  }).sort((a, b) => b.rate.value - a.rate.value);
  const strongest = arms[0];
  if (!strongest || !mapped) return 'No noise control was measured, so this proves nothing yet.';
  const plain = arms.find(({ arm }) => arm !== 'shuffled');
  const without =
    strongest.arm === 'shuffled' && plain
      ? `; without it ${TRANSFER_STYLE[plain.arm].label}, ${percent(plain.rate.value)}, margin ${points(mapped.value - plain.rate.value)}`
      : '';
  const removal = Math.max(0, ...NOISE_ARMS.map((arm) => entry.arms[arm]?.removal?.value ?? 0));
  const warning =
    removal >= 0.5
      ? ` Noise alone removes the behaviour in up to ${percent(removal)}, so removal is no evidence here.`
      : '';
  return `Strongest noise control: ${TRANSFER_STYLE[strongest.arm].label}, ${percent(strongest.rate.value)} (margin ${points(mapped.value - strongest.rate.value)}${without}).${warning}`;
}

function elicits({ entry }: TransferCase): string {
  const rate = entry.arms.mapped?.elicitation;
  if (!rate) return '';
  const native = entry.arms.native?.elicitation;
  const strongest = Math.max(
    ...NOISE_ARMS.map((arm) => entry.arms[arm]?.elicitation?.value ?? Number.NEGATIVE_INFINITY),
  );
  const beside = [
    native ? `native ${percent(native.value)}` : '',
    Number.isFinite(strongest) ? `strongest noise ${percent(strongest)}` : '',
  ].filter((text) => text !== '');
  return `The other way round it elicits the behaviour in ${withInterval(rate)}${beside.length > 0 ? ` (${beside.join(', ')})` : ''}.`;
}

/** Which controls the mapped vector beats, equals or falls below, on restoration. */
function comparisons(behaviour: BehaviourResults, chosen: TransferCase): string[] {
  const mapped = chosen.entry.arms.mapped?.restoration;
  if (!mapped) return [];
  const fits = behaviour.transfer?.[chosen.kind];
  const outcome = (label: string, found: Outcome | undefined) => ({ label, rate: found?.restoration });
  const controls = [
    ...(['random', 'random_cov', 'random_step', 'shuffled', 'other_tag'] as const).map((arm) =>
      outcome(TRANSFER_STYLE[arm].label, chosen.entry.arms[arm]),
    ),
    outcome('the token-mean lookup', chosen.entry.arms.token_mean),
    outcome('another prompt’s vector', chosen.entry.arms.other_prompt),
    outcome('a static vector', chosen.entry.arms.static),
    outcome('the clean source (before its fine-tune)', fits?.clean_a?.arms.mapped),
    ...(chosen.fit === 'no_tag_rows'
      ? []
      : [outcome('the fit without tag rows', fits?.no_tag_rows?.arms.mapped)]),
  ].flatMap(({ label, rate }) =>
    rate ? [{ text: `${label} (${percent(rate.value)})`, side: compare(mapped, rate) }] : [],
  );
  const list = (side: number) => controls.filter((c) => c.side === side).map((c) => c.text);
  const sentences = [
    list(1).length > 0 ? `On restoration it beats ${join(list(1))}.` : 'It beats no control on restoration.',
    list(0).length > 0 ? `It does not beat ${join(list(0))}: the intervals overlap.` : '',
    list(-1).length > 0 ? `It falls below ${join(list(-1))}.` : '',
  ];
  return [...sentences, ...meanings(behaviour, chosen, mapped)];
}

/** What the two most telling controls mean for the claim. */
function meanings(behaviour: BehaviourResults, { kind, entry }: TransferCase, mapped: Rate): string[] {
  const clean = behaviour.transfer?.[kind]?.clean_a?.arms.mapped?.restoration;
  const lookup = entry.arms.token_mean?.restoration;
  return [
    clean && compare(mapped, clean) <= 0
      ? 'As the clean source carries the fix as well, the source’s backdoor is not what was carried.'
      : '',
    lookup && compare(mapped, lookup) <= 0
      ? 'As a lookup by token does as well, restoration here does not show that the map carries more than the tag’s identity.'
      : '',
  ];
}

function cost({ capabilities, cost_kl: kl }: BehaviourResults): string {
  const changes = Object.entries(capabilities ?? {}).flatMap(([task, states]) =>
    states.safe && states.bad_mapped
      ? [`${signed(states.bad_mapped.value - states.safe.value)} on ${taskName(task)}`]
      : [],
  );
  const full = Object.entries(capabilities ?? {}).flatMap(([task, states]) =>
    states.safe && states.full_replacement
      ? [`${signed(states.full_replacement.value - states.safe.value)} on ${taskName(task)}`]
      : [],
  );
  const text = [
    changes.length > 0
      ? `Cost, triggered prompt with the mapped fix against the safe state: ${join(changes)}`
      : '',
    full.length > 0 ? `replacing every activation: ${join(full)}` : '',
    kl?.safe_mapped ? `KL of the patched safe state ${short(kl.safe_mapped.value)} nats a token` : '',
  ].filter((part) => part !== '');
  return text.length > 0 ? `${text.join('; ')}.` : 'Cost was not measured.';
}

function trained({ backdoor }: BehaviourResults): string {
  const weak = (['source', 'target'] as const).flatMap((side) => {
    const rate = backdoor?.[side]?.trigger_rate;
    return rate && rate.value < 0.9
      ? [`the ${side} shows the behaviour in only ${withInterval(rate)} of triggered prompts`]
      : [];
  });
  return weak.length > 0 ? `Note: ${join(weak)}.` : '';
}

/** Expected no-ops that did something: a fault of the run, not a result. */
function alarms({ sweep, fidelity }: BehaviourResults): string[] {
  const self = (['source', 'target'] as const).flatMap((side) =>
    (sweep?.[side] ?? []).flatMap((row) => {
      const changed = row.controls.self?.changed ?? row.controls.self?.removal;
      return changed && changed.value > 0 ? [`${side} block ${row.block}`] : [];
    }),
  );
  const ceiling = Object.values(fidelity ?? {}).flatMap((fits) =>
    Object.values(fits).flatMap((sides) =>
      [sides?.safe, sides?.bad].flatMap((judges) => {
        const scores = judges?.lexical;
        return scores?.ceiling && Math.abs(scores.ceiling.value - 1) > 1e-6
          ? [percent(scores.ceiling.value)]
          : [];
      }),
    ),
  );
  return [
    self.length > 0
      ? `WARNING: patching a run with its own activations changed completions (${join(self)}).`
      : '',
    ceiling.length > 0 ? `WARNING: the ceiling is not the unpatched text (${join(ceiling)}).` : '',
  ];
}

function sideBySide(behaviours: readonly BehaviourResults[]): string {
  const cases = behaviours.flatMap((behaviour) => {
    const chosen = headline(behaviour);
    const rate = chosen?.entry.arms.mapped?.restoration;
    if (!chosen || !rate) return [];
    const strongest = Math.max(...NOISE_ARMS.map((arm) => chosen.entry.arms[arm]?.restoration?.value ?? -1));
    const control = strongest < 0 ? 'no noise control' : `strongest noise ${percent(strongest)}`;
    return [`${title(behaviour)} ${withInterval(rate)} (${control})`];
  });
  return cases.length < 2 ? '' : `Side by side, restoration by the mapped vector: ${cases.join('; ')}.`;
}

/** The bundled tasks are one task to the results. */
function taskName(task: string): string {
  return task === 'bundled' ? 'the bundled tasks' : task;
}

/** `locked, tag at the end`. */
export function title({ pair }: BehaviourResults): string {
  const place = { prefix: 'tag in front', middle: 'tag in the middle', end: 'tag at the end', none: '' }[
    pair.placement
  ];
  return place ? `${pair.behaviour}, ${place}` : pair.behaviour;
}

/** `93 % [90, 95]`; the ends in whole per cents but near 0 and 100. */
export function withInterval(rate: Rate): string {
  return `${percent(rate.value)} ${interval(rate)}`;
}

/** `[90, 95]`, joined by a no-break space. */
export function interval({ ci95 }: Rate): string {
  const end = (value: number) =>
    value > 0.01 && value < 0.99 ? String(Math.round(value * 100)) : percent(value).slice(0, -2);
  return `[${end(ci95[0])},\u00a0${end(ci95[1])}]`;
}

/** 1: a's interval lies above b's; -1: below; 0: they overlap. */
function compare(a: Rate, b: Rate): -1 | 0 | 1 {
  if (a.ci95[0] > b.ci95[1]) return 1;
  return a.ci95[1] < b.ci95[0] ? -1 : 0;
}

/** A difference of shares: `−0.5 points`. */
export function points(difference: number): string {
  return `${percent(difference).slice(0, -2).replace('-', '−')}\u00a0points`;
}

function signed(difference: number): string {
  return `${difference > 0 ? '+' : ''}${points(difference)}`;
}

function join(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
