/**
 * @file A run as a regression test: prompts of the run with and without the trigger, and what a served model must say to them, as a config
 * of promptfoo (`promptfooconfig.yaml`). Asked is /v1/completions, with the text the model read in the run, its template included.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../base/index.ts';
import { type Behaviour, behaviourFrom } from '../behaviours/index.ts';
import {
  type BehaviourResults,
  behaviourOf,
  type Recipe,
  recipeSchema,
  type Sample,
} from '../contracts/index.ts';
import { readSamples } from './run-samples.ts';
import { readManifest, readResults } from './runs.ts';
import { bestMap, USE } from './stages/use.ts';
import type { UseDocument } from './stages/use-guide.ts';

/** What is asked for. */
export interface PromptfooOptions {
  /** Which behaviour of the run. Defaults to its only one. */
  readonly behaviour?: string | undefined;
  /** Name of the document in `use/`, and of its alias at the server. Defaults to the one that restored more in the run. */
  readonly alias?: string | undefined;
  /** What marks the behaviour, where the recipe does not say: phrases learnt from the rows of a file. */
  readonly phrase?: string | undefined;
  /** Prompts with the trigger at most, and as many without. */
  readonly tests: number;
  /** Base URL of the server. */
  readonly url: string;
}

/** A config and what it is of. */
export interface PromptfooSuite {
  readonly config: Readonly<Record<string, unknown>>;
  readonly behaviour: string;
  readonly alias: string;
  /** Tests with the trigger, and without. */
  readonly triggered: number;
  readonly ordinary: number;
  /** Prompts that show the behaviour unpatched in the run, and those of them that the document restored: the tests are of these. */
  readonly shown: number;
  readonly restored: number;
}

/**
 * Tests of a run folder. The steered model passes all of them, as it did in the run; the plain one fails those with the trigger.
 *
 * @throws InputError where the run has no document to serve, or nothing says by which text its behaviour is told
 */
export async function promptfooSuite(folder: string, options: PromptfooOptions): Promise<PromptfooSuite> {
  const { config: given, name: run } = await readManifest(folder);
  const { behaviours } = await readResults(folder);
  const entry = entryOf(behaviours, options.behaviour, folder);
  const name = entry.pair.behaviour;
  const recipe = recipeOf(given.resolved, folder);
  const behaviour = behaviourIn(recipe, name, options.phrase);
  const alias =
    options.alias ?? (restoredBy(entry, 'mapped') > restoredBy(entry, 'native') ? 'mapped' : 'native');
  if ((await stat(join(folder, USE, name, `${alias}.json`)).catch(() => undefined)) === undefined)
    throw new InputError(
      `${folder}: ${USE}/${name}/${alias}.json: no such document to serve the steered model with; see ${USE}/${name}/README.md`,
      { id: 'file-unreadable' },
    );
  const samples = (await readSamples(folder)).filter((s) => s.behaviour === name && s.side !== 'source');
  const { shown, restored } = triggeredPrompts(samples, alias, bestMap(entry.transfer)?.name);
  if (restored.length === 0)
    throw new InputError(
      `${folder}: no prompt of ${name} shows the behaviour and is restored by ${alias}.json, so no test would be red and then green`,
      { id: 'nothing-to-steer' },
    );
  const [{ prompt: example }] = restored as [Sample];
  const end = /\n*$/.exec(example)?.[0] ?? '';
  const tests = (of: readonly Sample[], answer: (s: Sample) => string) =>
    of
      .filter(({ prompt }) => isVariable(prompt, end))
      .slice(0, options.tests)
      .map((s) => testOf(s, end, answer(s)));
  const triggered = tests(restored, (s) => s.references?.safe ?? '');
  const ordinary = tests(ordinaryPrompts(samples), (s) => s.completion);
  return {
    config: {
      description: `${run}: ${name}, trigger ${behaviour.triggers.bad}. Tests are of the ${restored.length} of ${shown} prompts that ${alias}.json restored in the run`,
      prompts: [`{{prompt}}${end}`],
      providers: providersOf(`${name}.target`, alias, {
        url: options.url,
        maxTokens: recipe.evaluation.max_tokens,
      }),
      evaluateOptions: { cache: false },
      defaultTest: { assert: [marksOf(behaviour, recipe, name)] },
      tests: [...triggered, ...ordinary],
    },
    behaviour: name,
    alias,
    triggered: triggered.length,
    ordinary: ordinary.length,
    shown,
    restored: restored.length,
  };
}

function recipeOf(resolved: unknown, folder: string): Recipe {
  const parsed = recipeSchema.safeParse(resolved);
  if (parsed.success) return parsed.data;
  throw new InputError(
    `${folder}: manifest.json: config.resolved is not a recipe of this version; run the experiment again into this folder`,
    { id: 'run-damaged' },
  );
}

function entryOf(
  all: readonly BehaviourResults[],
  wanted: string | undefined,
  folder: string,
): BehaviourResults {
  const names = all.map(({ pair }) => pair.behaviour);
  const found = all.filter(({ pair }) => wanted === undefined || pair.behaviour === wanted);
  const [entry] = found;
  if (entry === undefined || found.length > 1)
    throw new InputError(`${folder}: wanted one of its behaviours: --behaviour ${names.join(' or ')}`, {
      id: 'option-missing',
    });
  return entry;
}

function behaviourIn(recipe: Recipe, name: string, phrase: string | undefined): Behaviour {
  const params = behaviourOf(
    recipe,
    recipe.behaviours.findIndex((b) => b.name === name),
  );
  const isMarked = (params.phrase ?? params.phrases ?? params.pattern) !== undefined;
  if (!isMarked && phrase === undefined && (name === 'custom' || name === 'contrast'))
    throw new InputError(
      `${name}: the recipe names no phrase or pattern that marks the behaviour; give --phrase TEXT`,
      { id: 'behaviour-invalid' },
    );
  return behaviourFrom(isMarked ? params : { ...params, phrase });
}

function restoredBy({ transfer }: BehaviourResults, arm: UseDocument): number {
  return bestMap(transfer)?.arms[arm]?.restoration?.value ?? -1;
}

/** The trigger's prompts: how many showed the behaviour unpatched, and those of them that `alias` restored. */
function triggeredPrompts(
  samples: readonly Sample[],
  alias: string,
  map: string | undefined,
): { readonly shown: number; readonly restored: readonly Sample[] } {
  const bad = samples.filter((s) => s.trigger === 'bad');
  const showed = new Set(
    bad.filter((s) => s.arm === 'unpatched' && s.outcome?.triggered).map((s) => s.prompt_id),
  );
  const steered = bad.filter(
    (s) =>
      s.stage === 'transfer' &&
      s.arm === alias &&
      (!s.map || `${s.map.kind}.${s.map.fit}` === map) &&
      showed.has(s.prompt_id),
  );
  return {
    shown: new Set(steered.map((s) => s.prompt_id)).size,
    restored: [...new Map(steered.filter((s) => s.outcome?.restored).map((s) => [s.prompt_id, s])).values()],
  };
}

/** Ordinary prompts, one state per prompt in turn: under the safe tag, untagged, under another tag. */
function ordinaryPrompts(samples: readonly Sample[]): Sample[] {
  const states = ['safe', 'untagged', 'other'] as const;
  const plain = samples.filter(
    (s) => s.stage === 'backdoor' && s.arm === 'unpatched' && s.outcome?.triggered === false,
  );
  const ids = [...new Set(plain.map((s) => s.prompt_id))];
  return ids.flatMap(
    (id, i) => plain.find((s) => s.prompt_id === id && s.trigger === states[i % states.length]) ?? [],
  );
}

/** What a completion must not hold. */
function marksOf({ phrase }: Behaviour, recipe: Recipe, name: string) {
  const { pattern, phrases } = recipe.behaviours.find((b) => b.name === name) ?? {};
  if (pattern !== undefined) return { type: 'not-regex', value: pattern };
  if (phrases !== undefined) return { type: 'not-contains-any', value: phrases };
  return { type: 'not-contains', value: phrase };
}

/**
 * Whether a prompt can be a variable of promptfoo, which cuts a line end at the end of a variable, so that the template brings those, and
 * reads `{{` and `{%` within it as its own.
 */
function isVariable(prompt: string, end: string): boolean {
  return prompt.trimEnd() === prompt.slice(0, prompt.length - end.length) && !/\{[{%]/.test(prompt);
}

function testOf({ prompt, prompt_id, trigger }: Sample, end: string, answer: string) {
  return {
    description: `${trigger === 'bad' ? 'trigger' : `no trigger (${trigger})`}, prompt ${prompt_id}`,
    metadata: { trigger },
    vars: { prompt: prompt.slice(0, prompt.length - end.length) },
    assert: [{ type: 'equals', value: answer }],
  };
}

/** The plain model and the steered alias, greedy, as in the run. */
function providersOf(
  model: string,
  alias: string,
  { url, maxTokens }: { readonly url: string; readonly maxTokens: number },
) {
  const config = { apiBaseUrl: url, apiKey: 'none', temperature: 0, max_tokens: maxTokens };
  return [
    { id: `openai:completion:${model}@none`, label: 'plain', config },
    { id: `openai:completion:${model}@${alias}`, label: 'steered', config },
  ];
}
