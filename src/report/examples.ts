/** @file Example completions, state by state: overwritten tokens of the prompt and changed words of the completion are marked. */
import type { BehaviourResults, Sample } from '../contracts/index.ts';
import {
  clip,
  type ExampleCard,
  type ExampleState,
  exampleGroups,
  exampleTable,
  metricLabel,
  slug,
} from '../figures/index.ts';
import { dataLinks } from './data-links.ts';
import { wordDiff } from './diff.ts';
import { type Html, html } from './html.ts';

/** Prompts in the complete list, so that a report stays small. */
const LISTED = 200;

/** Example cards and the list of all completions of a behaviour; null when there are no samples of it. */
export function examples(behaviour: BehaviourResults, samples: readonly Sample[]): Html | null {
  const found = exampleTable(behaviour, samples);
  if (found === null) return null;
  const prompts = [...exampleGroups(behaviour, samples)];
  return html`<section id="${slug(found.id)}"><p>${found.caption} <mark class="tok">Tinted</mark> tokens of a prompt were overwritten; <ins>underlined</ins> words differ from the completion they should equal.</p>
${dataLinks(slug(found.id), found.rows)}
${found.cards.map(card)}
<details><summary>All completions but those of the sweeps (${Math.min(LISTED, prompts.length)} of ${prompts.length} prompts)</summary>
<ul class="all">${prompts.slice(0, LISTED).map(([id, rows]) => html`<li><b>${clip(id, 40)}</b> ${clip(oneLine(rows), 160)}<ul>${sayings(rows).map(({ text, where }) => html`<li><bdi>${clip(text, 240)}</bdi> <span class="arm">${where}</span></li>`)}</ul></li>`)}</ul></details></section>`;
}

interface Place {
  readonly stage: string;
  readonly trigger: string;
  readonly arms: Set<string>;
}

/** What was said, and in which states: most arms end in one of a few completions. Sweeps are left to `samples/`. */
function sayings(rows: readonly Sample[]): { readonly text: string; readonly where: string }[] {
  const said = new Map<string, Map<string, Place>>();
  for (const { stage, arm, trigger, side, completion: text } of rows) {
    if (stage === 'sweep') continue;
    const places = said.get(text) ?? new Map<string, Place>();
    said.set(text, places);
    const named = side === 'source' ? `source ${stage}` : stage;
    const key = `${named}, ${trigger}`;
    const place = places.get(key) ?? { stage: named, trigger, arms: new Set() };
    places.set(key, place);
    place.arms.add(arm);
  }
  return [...said].map(([text, places]) => ({ text, where: whereabouts(places) }));
}

/** `backdoor, bad/safe: unpatched; transfer, bad: native mapped`: triggers of one stage with the same arms stand together. */
function whereabouts(places: ReadonlyMap<string, Place>): string {
  const triggers = new Map<string, { stage: string; arms: string; at: string[] }>();
  for (const { stage, trigger, arms } of places.values()) {
    const key = `${stage}: ${[...arms].join(' ')}`;
    const group = triggers.get(key) ?? { stage, arms: [...arms].join(' '), at: [] };
    group.at.push(trigger);
    triggers.set(key, group);
  }
  return [...triggers.values()].map(({ stage, arms, at }) => `${stage}, ${at.join('/')}: ${arms}`).join('; ');
}

function card({ prompt_id, tokens, changed, states }: ExampleCard): Html {
  const marked = new Set(changed);
  const prompt = tokens.map((token, i) => (marked.has(i) ? html`<mark class="tok">${token}</mark>` : token));
  return html`<article class="example"><h4>Prompt ${prompt_id}</h4><p class="prompt" dir="auto">${prompt}</p><dl>${states.map(
    (state) =>
      html`<div><dt>${state.label}</dt><dd dir="auto">${completion(state)}${badge(state)}</dd></div>`,
  )}</dl></article>`;
}

function completion({ completion: text, reference }: ExampleState): Html {
  if (text === '') return html`<i>(empty)</i>`;
  if (reference === undefined) return html`${text}`;
  return html`${wordDiff(text, reference).map((part) => (part.changed ? html`<ins>${part.text}</ins>` : part.text))}`;
}

function badge({ flags, scores }: ExampleState): Html | null {
  const numbers = Object.entries(scores).map(
    ([key, score]) => `${metricLabel(key)} ${Number(score.toFixed(2))}`,
  );
  const all = [...flags, ...numbers];
  return all.length === 0 ? null : html` <small class="badge">${all.join(' · ')}</small>`;
}

function oneLine(rows: readonly Sample[]): string {
  return rows[0]?.prompt.replace(/\s+/g, ' ') ?? '';
}
