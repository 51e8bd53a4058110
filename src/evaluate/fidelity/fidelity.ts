/**
 * @file Fidelity (docs/concepts/method.md#fidelity): does B go on as it would have, when its prompt's activations after block M come from A through a map?
 * Arms: mapped · mean_ablated (the baseline) · ceiling (B's own, an expected no-op) · control maps. Every prompt is judged against B's
 * own unpatched completion; mapped against mean_ablated is tested in pairs.
 */
import { defined, InputError, throwIfAborted } from '../../base/index.ts';
import type { EvaluationSettings, FidelitySettings, Rate, Sample } from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { GenerateOptions, LanguageModel } from '../../models/index.ts';
import { holm, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { type Judge, lexicalJudge } from '../judges/index.ts';
import { type LikelihoodCase, likelihoodDifferences } from '../judges/likelihood.ts';
import { oneTargetBlock } from '../maps/figures.ts';
import type { LabelledMap } from '../transfer/input.ts';
import { capturedRows, completeReplaced, mappedReplacement, meanReplacement } from './arms.ts';
import { completeLockstep } from './lockstep.ts';
import type { FidelityPrompt, FidelityRow } from './row.ts';
import { fidelitySamples } from './samples.ts';
import { type FidelityByMap, type JudgeScores, judgeRows, likelihoodScores, mapScores } from './scores.ts';

/** Arms that are maps but not the map under test. */
export type ControlArm = 'shuffled' | 'token_mean' | 'random';

/** The models, prompts and maps of {@link fidelity}. */
export interface FidelityInput {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  readonly prompts: readonly FidelityPrompt[];
  /** Maps under test, each with its key in `results.json`; the controls too, all from one block to one block. */
  readonly maps: readonly LabelledMap[];
  readonly controls: Partial<Readonly<Record<ControlArm, ActivationMap | undefined>>>;
  /** For `samples`. */
  readonly behaviour: string;
  /** In place of chrF and exact match, where `lexical` is asked for. */
  readonly lexical?: readonly Judge[];
  /** Besides those of the settings. */
  readonly further?: readonly Judge[];
  /** What the rows of `samples` say they are; defaults to stage `fidelity` of the target. */
  readonly samplesOf?: Pick<Sample, 'stage' | 'side'>;
}

/** Settings of {@link fidelity}: the recipe's sections. */
export type FidelityParams = Pick<FidelitySettings, 'judges' | 'replace'> &
  Pick<EvaluationSettings, 'max_tokens' | 'bootstrap'>;

/** What {@link fidelity} gives. */
export interface FidelityResult {
  /** The `fidelity` section of `results.json`. */
  readonly fidelity: FidelityByMap;
  readonly samples: Sample[];
  /** Share of prompts whose ceiling completion differs from the unpatched one: must be 0. */
  readonly ceiling_changed: Rate;
}

/** Prompts worked on at a time. */
const BATCH = 64;

/** Measure all maps on all prompts: {@link fidelityRows}, judged, as {@link fidelityFigures}. */
export async function fidelity(
  input: FidelityInput,
  p: FidelityParams,
  env: Pick<ExperimentEnv, 'rng' | 'progress' | 'signal'>,
  batch = BATCH,
): Promise<FidelityResult> {
  const rows = await fidelityRows(input, p, env, batch);
  return fidelityFigures({ ...input, rows, judged: await judgeRows(rows, input.further ?? []) }, p, env);
}

/** What both models say on every prompt, with the target's on all maps; baseline, ceiling and controls are run once for all maps. Memory holds one batch and the texts. */
export async function fidelityRows(
  input: Omit<FidelityInput, 'behaviour' | 'lexical' | 'further' | 'samplesOf'>,
  p: Omit<FidelityParams, 'bootstrap'>,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
  batch = BATCH,
): Promise<FidelityRow[]> {
  const { prompts } = input;
  const arms = armsOf(input);
  const block = oneTargetBlock(arms, input.target.decoder);
  if (prompts.length === 0) throw new InputError('fidelity: no prompts were given', { id: 'data-missing' });
  if (p.replace === 'all') checkLockstep(prompts);
  const rows: FidelityRow[] = [];
  for (let at = 0; at < prompts.length; at += batch) {
    throwIfAborted(signal, 'fidelity');
    rows.push(...(await runBatch(input, prompts.slice(at, at + batch), { arms, block, signal, ...p })));
    progress({ stage: 'fidelity', done: rows.length, total: prompts.length, unit: 'prompts' });
  }
  return rows;
}

/** What {@link fidelityFigures} needs: rows, and what judges that stand outside said of them. */
export interface FidelityJudged extends Pick<FidelityInput, 'behaviour' | 'lexical' | 'samplesOf'> {
  readonly maps: readonly { readonly label: string; readonly map: Pick<ActivationMap, 'fit'> }[];
  readonly rows: readonly FidelityRow[];
  readonly judged: Readonly<Record<string, JudgeScores>>;
}

/** Figures and samples of rows that were judged. */
export async function fidelityFigures(
  { behaviour, maps, rows, judged, ...input }: FidelityJudged,
  p: Pick<FidelityParams, 'judges' | 'bootstrap'>,
  { rng }: Pick<ExperimentEnv, 'rng'>,
): Promise<FidelityResult> {
  const lexical = input.lexical ?? [lexicalJudge(), lexicalJudge('exact_match')];
  const scores = {
    ...(await judgeRows(rows, p.judges.includes('lexical') ? lexical : [])),
    ...judged,
    ...(p.judges.includes('likelihood') ? { likelihood: likelihoodScores(rows) } : {}),
  };
  const entries = maps.map(({ label, map }) => {
    const sides = mapScores(rows, scores, mapArm(label, map), { rng, bootstrap: p.bootstrap });
    return { label, fit: map.fit, sides };
  });
  const found: FidelityByMap = {};
  for (const { label, fit, sides } of entries) found[label] = { ...found[label], [fit]: sides };
  return {
    fidelity: withHolm(found),
    samples: fidelitySamples(
      { behaviour, stage: 'fidelity', side: 'target', ...input.samplesOf },
      new Map(maps.map(({ label, map }) => [mapArm(label, map), { kind: label, fit: map.fit }])),
      rows,
      scores,
    ),
    ceiling_changed: rate(rows.map((r) => r.completions.ceiling !== r.own)),
  };
}

/** `map:<label>.<fit>` for maps under test, the arm's name for controls. */
function armsOf({ maps, controls }: Pick<FidelityInput, 'maps' | 'controls'>): Record<string, ActivationMap> {
  return defined({
    ...Object.fromEntries(maps.map(({ label, map }) => [mapArm(label, map), map])),
    ...controls,
  });
}

const mapArm = (label: string, map: Pick<ActivationMap, 'fit'>): string => `map:${label}.${map.fit}`;

/** Many maps, sides and judges are tested at once: p adjusted over all of them. */
function withHolm(fidelity: FidelityByMap): FidelityByMap {
  const tested = Object.values(fidelity)
    .flatMap((fits) => Object.values(fits))
    .flatMap((sides) => [sides?.safe, sides?.bad])
    .flatMap((judges) => Object.values(judges ?? {}))
    .flatMap(({ test }) => (test === undefined ? [] : [test]));
  holm(tested.map(({ p }) => p)).forEach((p, i) => {
    tested[i].holm_p = p;
  });
  return fidelity;
}

async function runBatch(
  { source, target }: Pick<FidelityInput, 'source' | 'target'>,
  prompts: readonly FidelityPrompt[],
  {
    arms: maps,
    block,
    signal,
    replace,
    judges,
    max_tokens,
  }: Omit<FidelityParams, 'bootstrap'> & {
    readonly arms: Readonly<Record<string, ActivationMap>>;
    readonly block: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<FidelityRow[]> {
  const settings: GenerateOptions = { maxNewTokens: max_tokens, signal };
  const [anyMap] = Object.values(maps) as [ActivationMap];
  const targetIds = prompts.map((p) => p.target);
  const own = await target.generate(targetIds, settings);
  const foreign = await source.generate(
    prompts.map((p) => p.source),
    settings,
  );
  // Under `all` the rows reach over B's own completion, for the judge `likelihood`; completions take the prompt's.
  const after = own.map(({ ids }) => (replace === 'all' ? ids : []));
  const texts = prompts.map((p, b) => ({
    ...p,
    source: [...p.source, ...after[b]],
    target: [...p.target, ...after[b]],
  }));
  const rowsOf = (model: LanguageModel, side: 'source' | 'target') =>
    capturedRows(
      model,
      texts.map((t) => ({ id: t.id, ids: t[side] })),
      anyMap[side].hook,
      signal,
    );
  const x = await rowsOf(source, 'source');
  const y = await rowsOf(target, 'target');
  const d = target.config.dModel;
  const replacements: Record<string, Float32Array[]> = {
    mean_ablated: y.map((rows, b) => meanReplacement(rows, d, targetIds[b].length)),
    ceiling: y,
  };
  for (const [arm, map] of Object.entries(maps))
    replacements[arm] = texts.map((t, b) => mappedReplacement(map, t, x[b]));
  const completions: Record<string, string[]> = {};
  for (const [arm, rows] of Object.entries(replacements)) {
    const replaced = { prompts: targetIds, block, replacements: rows };
    // B's own activation at a generated token is what stands there already.
    if (replace === 'prefill' || arm === 'ceiling') {
      const made = await completeReplaced(target, replaced, settings);
      completions[arm] = made.map((c) => c.text);
      continue;
    }
    const map = maps[arm];
    const follow =
      map === undefined ? { rows: rows.map((all) => all.subarray(all.length - d)) } : { source, map };
    completions[arm] = await completeLockstep(target, replaced, follow, settings);
  }
  const cases = prompts.map(
    (p, b): LikelihoodCase => ({
      prompt: p.target,
      completion: own[b].ids,
      replacements: perPrompt(replacements, b),
    }),
  );
  const differences = judges.includes('likelihood')
    ? await likelihoodDifferences(target.decoder, block, cases, signal)
    : {};
  return prompts.map((prompt, b) => ({
    prompt,
    own: own[b].text,
    source: foreign[b].text,
    completions: perPrompt(completions, b),
    likelihood: perPrompt(differences, b),
  }));
}

/** Lockstep needs one tokenizer. */
function checkLockstep(prompts: readonly FidelityPrompt[]): void {
  if (prompts.some((p) => p.alignment !== undefined))
    throw new InputError(
      'fidelity: replace "all" runs both models over the same tokens, and these have different tokenizers; use replace "prefill"',
      { id: 'tokenizer-mismatch' },
    );
}

/** Entry b of every arm. */
function perPrompt<T>(byArm: Readonly<Record<string, readonly T[]>>, b: number): Record<string, T> {
  return Object.fromEntries(Object.entries(byArm).map(([arm, list]) => [arm, list[b]]));
}
