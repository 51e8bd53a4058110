/**
 * @file The verdict of a behaviour, computed from `results.json` alone, so that terminal, report and web say the same: one word by the
 * rule, one sentence with the margin over noise and its interval, and a list of what is to be held against it.
 */
import {
  type BehaviourResults,
  NOISE_ARMS,
  type Results,
  type UntaggedEntry,
} from '../../contracts/index.ts';
import { headline, percent, TRANSFER_STYLE, type TransferCase } from '../../figures/index.ts';
import { alarms, cost, trained } from './cost.ts';
import {
  type Compared,
  type Difference,
  difference,
  differences,
  margin,
  restorationOf,
  strongestNoise,
} from './differences.ts';
import { judge, notChecked, type Reason, RULE, type VerdictWord } from './rule.ts';
import {
  COMPARED_LABEL,
  join,
  pointsInterval,
  pointsWithInterval,
  signed,
  title,
  withInterval,
} from './words.ts';

export interface Verdict {
  /** `locked, tag at the end`. */
  readonly behaviour: string;
  readonly word: VerdictWord;
  /** One sentence, with the margin over noise and its interval where there is one. */
  readonly sentence: string;
  /** What it beats and does not, what that means, what it costs, what was not checked. */
  readonly points: readonly Point[];
  /** Restoration by the mapped arm minus the strongest noise arm. */
  readonly margin?: Difference | undefined;
}

/** An item of the list; `arms` are the comparisons, which a table of arms says as well. */
export interface Point {
  readonly about: 'arms' | 'meaning' | 'cost' | 'unchecked' | 'note';
  readonly text: string;
}

/** One verdict per behaviour, in their order. */
export function verdicts(results: Pick<Results, 'behaviours'>): Verdict[] {
  return results.behaviours.map(verdictOf);
}

/** `locked, tag at the end: carried. The affine map …`: what every surface says first. */
export function claim({ behaviour, word, sentence }: Verdict): string {
  return `${behaviour}: ${word}. ${sentence}`;
}

/** The verdicts as lists of sentences, the first of each the claim. Never empty. */
export function verdictSentences(results: Pick<Results, 'behaviours'>): string[][] {
  return sentences(verdicts(results));
}

/** The verdicts as plain text: the claim, under it the list. */
export function verdictText(all: readonly Verdict[]): string {
  return sentences(all)
    .map(([first = '', ...rest]) => [first, ...rest.map((point) => `  - ${point}`)].join('\n'))
    .join('\n\n');
}

function sentences(all: readonly Verdict[]): string[][] {
  return all.length === 0
    ? [['Nothing was evaluated.']]
    : all.map((v) => [claim(v), ...v.points.map(({ text }) => text)]);
}

/** The verdict of one behaviour. */
export function verdictOf(behaviour: BehaviourResults): Verdict {
  const chosen = headline(behaviour);
  const { word, reason } = judge(behaviour, chosen);
  const head = { behaviour: title(behaviour), word };
  if (chosen === null)
    return {
      ...head,
      sentence: 'Steering transfer was not evaluated in this run.',
      points: about('note', [...trained(behaviour), ...alarms(behaviour)]),
    };
  return {
    ...head,
    sentence: `${restores(behaviour, chosen)}${because(behaviour, chosen, reason)}.`,
    points: [
      ...about('arms', compared(behaviour, chosen)),
      ...about('meaning', means(behaviour, chosen, reason)),
      ...about('arms', [...elicits(chosen), ...untagged(chosen)]),
      ...about('cost', cost(behaviour)),
      ...about('unchecked', unchecked(behaviour, chosen)),
      ...about('note', [...trained(behaviour), ...alarms(behaviour), ...method(behaviour, chosen)]),
    ],
    margin: margin(behaviour, chosen),
  };
}

function about(what: Point['about'], texts: readonly string[]): Point[] {
  return texts.map((text) => ({ about: what, text }));
}

/** The mapped restoration, never without its strongest noise control. */
function restores(behaviour: BehaviourResults, chosen: TransferCase): string {
  const { kind, fit, entry } = chosen;
  const { source, target, source_block: l, target_block: m } = behaviour.pair;
  const where =
    l === undefined || m === undefined
      ? `${source} → ${target}`
      : `${source} block ${l} → ${target} block ${m}`;
  const map = `The ${kind} map${fit === 'with_tags' ? '' : `, ${COMPARED_LABEL[fit]}`} (${where})`;
  const mapped = entry.arms.mapped?.restoration;
  if (mapped === undefined) return `${map} was not measured for restoration`;
  const own = `${map} restores the ordinary answer in ${percent(mapped.value)} of ${mapped.n} triggered prompts`;
  const noise = strongestNoise(chosen);
  const over = margin(behaviour, chosen);
  if (noise === undefined || over === undefined) return `${own}; no noise control was run`;
  return `${own}, the strongest noise (${TRANSFER_STYLE[noise.arm].label}) in ${percent(noise.rate.value)}: a margin of ${pointsWithInterval(over)}`;
}

/** The comparison that decided the word, where it is not the margin. */
function because(behaviour: BehaviourResults, chosen: TransferCase, reason: Reason): string {
  const against = (arm: Compared, what: string): string => {
    const found = difference(behaviour, chosen, arm);
    const rate = restorationOf(behaviour, chosen, arm);
    return found && rate ? `; against ${what} (${percent(rate.value)}): ${pointsWithInterval(found)}` : '';
  };
  const trigger = chosen.entry.trigger_rate ?? behaviour.backdoor?.target?.trigger_rate;
  const native = chosen.entry.arms.native?.restoration;
  const text: Partial<Record<Reason, () => string>> = {
    'few prompts': () => `; a verdict needs ${RULE.prompts} triggered prompts`,
    'arms missing': () => (native === undefined ? '; the target’s own vector was not run' : ''),
    'weak trigger': () =>
      trigger ? `; the target shows the behaviour in only ${withInterval(trigger)} of triggered prompts` : '',
    'weak native': () =>
      native ? `; the target’s own vector restores it in only ${withInterval(native)}` : '',
    'under half': () => against('half_native', 'half of what the target’s own vector restores'),
    'around half': () => against('half_native', 'half of what the target’s own vector restores'),
    lookup: () => against('token_mean', COMPARED_LABEL.token_mean),
    'clean source': () => against('clean_a', COMPARED_LABEL.clean_a),
    embeddings: () => against('embedding_a', COMPARED_LABEL.embedding_a),
  };
  return text[reason]?.() ?? '';
}

/** What it beats by the rule's distance, and what it does not. */
function compared(behaviour: BehaviourResults, chosen: TransferCase): string[] {
  const own: readonly Compared[] = ['native', 'half_native', 'with_tags', 'general'];
  const all = differences(behaviour, chosen).filter((d) => !own.includes(d.compared));
  const isNoise = (arm: Compared) => (NOISE_ARMS as readonly Compared[]).includes(arm);
  const beats = all.filter((d) => d.ci95[0] > (isNoise(d.compared) ? RULE.noise : RULE.control));
  const rest = all.filter((d) => !beats.includes(d));
  const native = difference(behaviour, chosen, 'native');
  const rate = chosen.entry.arms.native?.restoration;
  const named = (d: (typeof all)[number]): string => {
    const rate = restorationOf(behaviour, chosen, d.compared);
    return `${COMPARED_LABEL[d.compared]}${rate ? ` ${percent(rate.value)}` : ''} (${signed(d.difference)}`;
  };
  return [
    ...(native && rate
      ? [`The target’s own vector: ${withInterval(rate)}; the map against it ${pointsWithInterval(native)}.`]
      : []),
    ...(beats.length > 0 ? [`Beats (points): ${beats.map((d) => `${named(d)})`).join('; ')}.`] : []),
    ...(rest.length > 0
      ? [`Does not beat (points): ${rest.map((d) => `${named(d)} ${pointsInterval(d.ci95)})`).join('; ')}.`]
      : []),
  ];
}

const MEANING = {
  'not steered': 'without a mapped arm nothing can be said',
  'few prompts': 'too few prompts to tell; run more of them',
  'arms missing': 'without the native arm and a noise arm nothing can be said; run with those arms',
  'weak trigger':
    'the target does not show the behaviour reliably, so there is little to undo; train it longer',
  'weak native':
    'not even the target’s own vector restores the answer here; choose another block or a longer span',
  'under half': 'the map restores less than half of what the target’s own vector restores',
  'around half':
    'the interval holds both more and less than half of what the target’s own vector restores; more prompts would decide',
  noise: `noise of the same size does as well to within ${RULE.noise * 100} points, so restoration shows no transfer`,
  lookup:
    'a lookup by token does as well, so restoration does not show that the map carries more than the tag’s identity',
  bag: 'a lookup by the tokens of the trigger does as well, so the words alone explain it',
  'clean source':
    'the source before its fine-tune carries the fix as well, so the source’s backdoor is not what was carried',
  embeddings:
    'a map from the source’s embeddings does as well, so the words are carried, not what the source makes of them',
  carried: 'the map carries the fix: neither noise nor a checked control explains it',
} as const satisfies Record<Reason, string>;

function means(behaviour: BehaviourResults, chosen: TransferCase, reason: Reason): string[] {
  const asWell = (arm: Compared): boolean => {
    const found = difference(behaviour, chosen, arm);
    return found !== undefined && found.ci95[0] <= RULE.control;
  };
  const removal = Math.max(0, ...NOISE_ARMS.map((arm) => chosen.entry.arms[arm]?.removal?.value ?? 0));
  const isCarried = (['lookup', 'bag', 'clean source', 'embeddings', 'carried'] as Reason[]).includes(reason);
  const further = [
    ...((reason === 'lookup' || reason === 'bag') && asWell('clean_a') ? [MEANING['clean source']] : []),
    ...((reason === 'lookup' || reason === 'bag' || reason === 'clean source') && asWell('embedding_a')
      ? [MEANING.embeddings]
      : []),
    ...unseen(chosen, reason),
    ...(isCarried && asWell('other_prompt')
      ? ['another prompt’s vector does as well: the fix is one direction for all prompts']
      : []),
    ...(removal >= 0.5
      ? [`noise alone removes the behaviour in up to ${percent(removal)}, so removal is no evidence`]
      : []),
  ];
  return [`What this means: ${[MEANING[reason], ...further].join('; ')}.`];
}

/** Where the tested triggers are not those the map saw: what that adds. */
function unseen({ entry }: TransferCase, reason: Reason): string[] {
  if (entry.arms.bag_of_tokens === undefined) return [];
  if (reason === 'carried')
    return [
      'the tested triggers are others than those it was fitted on, and their tokens alone do not explain it: what is carried is a meaning, not a tag’s identity',
    ];
  return reason === 'clean source'
    ? [
        'the tested triggers are others than those it was fitted on: what is carried is a meaning, but not one that the fine-tune made',
      ]
    : [];
}

/** What the two states do where no trigger stands. */
function untagged({ entry }: TransferCase): string[] {
  if (entry.untagged === undefined) return [];
  const { unpatched, native, mapped } = entry.untagged;
  const pair = ({ bad, safe }: UntaggedEntry): string =>
    `${withInterval(bad.shows)} and ${withInterval(safe.shows)}`;
  return [
    `Put into untagged prompts (which show it in ${percent(unpatched.value)}), the bad and the safe state show the behaviour in ${pair(mapped)} by the map, ${pair(native)} natively.`,
  ];
}

function elicits({ entry }: TransferCase): string[] {
  const rate = entry.arms.mapped?.elicitation;
  if (!rate) return [];
  const native = entry.arms.native?.elicitation;
  const noise = NOISE_ARMS.flatMap((arm) => entry.arms[arm]?.elicitation?.value ?? []);
  const beside = [
    ...(native ? [`native ${percent(native.value)}`] : []),
    ...(noise.length > 0 ? [`strongest noise ${percent(Math.max(...noise))}`] : []),
  ];
  return [
    `The other way round: elicits the behaviour in ${withInterval(rate)}${beside.length > 0 ? ` (${beside.join(', ')})` : ''}.`,
  ];
}

function unchecked(behaviour: BehaviourResults, chosen: TransferCase): string[] {
  const missing = notChecked(behaviour, chosen);
  return missing.length === 0 ? [] : [`Not checked: ${join(missing.map((arm) => COMPARED_LABEL[arm]))}.`];
}

/** Said of results that were written before intervals were paired. */
function method(behaviour: BehaviourResults, chosen: TransferCase): string[] {
  const all = differences(behaviour, chosen);
  return all.some(({ paired }) => !paired)
    ? [
        'Intervals of differences: from the two rates (Newcombe), not paired by prompt; run again for paired ones.',
      ]
    : [];
}
