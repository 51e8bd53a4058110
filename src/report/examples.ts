/** @file Example completions, state by state: overwritten tokens of the prompt and changed words of the completion are marked. */
import type { BehaviourResults, Sample } from '../contracts/index.ts';
import { clip, headline, TRANSFER_STYLE } from '../figures/index.ts';
import { wordDiff } from './diff.ts';
import { type Html, html } from './html.ts';

/** Prompts shown in full, of each behaviour: failures first, for they teach more. */
const SHOWN = 6;
const FAILURES = 3;
/** Prompts in the complete list, and characters kept of any text, so that a report stays small. */
const LISTED = 200;
const LONGEST = 1500;

interface State {
  readonly label: string;
  readonly is: (sample: Sample) => boolean;
  /** Which unpatched completion the differences are taken against. */
  readonly against: 'safe' | 'bad' | null;
}

/** The states of the blog's Fig. 6, 7, 9 and 13, with the controls. */
const STATES: readonly State[] = [
  state('unpatched, safe trigger', ['backdoor', 'unpatched', 'safe'], null),
  state('unpatched, bad trigger', ['backdoor', 'unpatched', 'bad'], null),
  ...(
    ['native', 'mapped', 'static', 'token_mean', 'random', 'random_cov', 'random_step', 'shuffled'] as const
  ).map((arm) =>
    state(
      `bad trigger, ${arm === 'mapped' ? 'steered by the map' : arm === 'native' ? 'steered natively' : `control: ${TRANSFER_STYLE[arm].label}`}`,
      ['transfer', arm, 'bad'],
      'safe',
    ),
  ),
  state('safe trigger, bad activations mapped in', ['transfer', 'mapped', 'safe'], 'bad'),
  ...(['safe', 'bad'] as const).flatMap((side) => [
    state(`prompt replaced by mapped activations (${side})`, ['fidelity', 'mapped', side], side),
    state(`prompt replaced by its mean (${side})`, ['fidelity', 'mean_ablated', side], side),
    state(`prompt replaced by shuffled map (${side})`, ['fidelity', 'shuffled', side], side),
  ]),
  ...(['reverse_ridge', 'pinv', 'truncated'] as const).map((arm) =>
    state(`source, steered back by the inverse (${arm.replace('_', ' ')})`, ['inverse', arm, 'bad'], 'safe'),
  ),
];

/** Example cards and the list of all completions of a behaviour; null when there are no samples of it. */
export function examples(behaviour: BehaviourResults, samples: readonly Sample[]): Html | null {
  const chosen = headline(behaviour);
  const ofMap = (s: Sample) => !s.map || !chosen || (s.map.kind === chosen.kind && s.map.fit === chosen.fit);
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    if (sample.behaviour !== behaviour.pair.behaviour || !ofMap(sample)) continue;
    const group = groups.get(sample.prompt_id);
    if (group) group.push(sample);
    else groups.set(sample.prompt_id, [sample]);
  }
  if (groups.size === 0) return null;
  const prompts = [...groups].map(([id, rows]) => ({ id, rows, failed: isFailure(rows) }));
  const failures = prompts.filter((p) => p.failed);
  const successes = prompts.filter((p) => !p.failed);
  const shown = [
    ...failures.slice(0, Math.max(FAILURES, SHOWN - successes.length)),
    ...successes.slice(0, Math.max(SHOWN - FAILURES, SHOWN - failures.length)),
  ];
  return html`<p>Of ${prompts.length} prompts with samples, the mapped vector failed to restore ${failures.length}; shown first are up to ${FAILURES} failures. <mark class="tok">Tinted</mark> tokens of a prompt were overwritten; <ins>underlined</ins> words differ from the completion they should equal.</p>
${shown.map(({ id, rows }) => card(id, rows))}
<details><summary>All completions (${Math.min(LISTED, prompts.length)} of ${prompts.length} prompts)</summary>
<ul class="all">${prompts.slice(0, LISTED).map(({ id, rows }) => html`<li><b>${clip(id, 40)}</b> ${clip(lastLine(rows), 160)}<ul>${rows.map((row) => html`<li><span class="arm">${`${row.stage} · ${row.arm} · ${row.trigger}`}</span> <bdi>${clip(row.completion, 240)}</bdi></li>`)}</ul></li>`)}</ul></details>`;
}

function card(id: string, rows: readonly Sample[]): Html {
  const present = STATES.flatMap((s) => {
    const sample = rows.find(s.is);
    return sample ? [{ ...s, sample }] : [];
  });
  const promptRow =
    present.find(({ sample }) => (sample.changed_positions?.length ?? 0) > 0)?.sample ?? rows[0]!;
  return html`<article class="example"><h4>Prompt ${clip(id, 40)}</h4><p class="prompt" dir="auto">${promptText(promptRow)}</p><dl>${present.map(
    ({ label, sample, against }) =>
      html`<div><dt>${label}</dt><dd dir="auto">${completion(sample, against)}${badge(sample)}</dd></div>`,
  )}</dl></article>`;
}

function promptText({ prompt, prompt_tokens: tokens, changed_positions: changed = [] }: Sample): Html {
  if (!tokens || tokens.join('').length > LONGEST) return html`${cut(prompt)}`;
  const set = new Set(changed);
  return html`${tokens.map((token, i) => (set.has(i) ? html`<mark class="tok">${token}</mark>` : token))}`;
}

function completion(sample: Sample, against: 'safe' | 'bad' | null): Html {
  const text = cut(sample.completion);
  const reference = against ? sample.references?.[against] : undefined;
  if (sample.completion === '') return html`<i>(empty)</i>`;
  if (reference === undefined) return html`${text}`;
  return html`${wordDiff(text, cut(reference)).map((part) => (part.changed ? html`<ins>${part.text}</ins>` : part.text))}`;
}

function badge({ outcome, scores }: Sample): Html | null {
  const words = Object.entries(outcome ?? {}).flatMap(([flag, value]) => (value ? [flag] : []));
  const numbers = Object.entries(scores ?? {}).map(
    ([judge, score]) => `${judge} ${Number(score.toFixed(2))}`,
  );
  const all = [...words, ...numbers];
  return all.length === 0 ? null : html` <small class="badge">${all.join(' · ')}</small>`;
}

function state(
  label: string,
  [stage, arm, trigger]: readonly [string, string, string],
  against: State['against'],
): State {
  return { label, against, is: (s) => s.stage === stage && s.arm === arm && s.trigger === trigger };
}

function isFailure(rows: readonly Sample[]): boolean {
  return rows.some(
    (s) =>
      s.stage === 'transfer' && s.arm === 'mapped' && s.trigger === 'bad' && s.outcome?.restored === false,
  );
}

function lastLine(rows: readonly Sample[]): string {
  return rows[0]?.prompt.replace(/\s+/g, ' ') ?? '';
}

function cut(text: string): string {
  return text.length <= LONGEST ? text : `${clip(text, LONGEST)} (${text.length - LONGEST} more characters)`;
}
