/**
 * @file Fidelity (docs/concepts/method.md#fidelity): does B go on as it would have, when its prompt's activations after block M come from A through a map?
 * Arms: mapped · mean_ablated (the baseline) · ceiling (B's own, an expected no-op) · control maps. Every prompt is judged against B's
 * own unpatched completion; mapped against mean_ablated is tested in pairs.
 */
import type { PairedText } from '../../activations/index.ts';
import { InputError, type ProgressSink, type Rng, silent, throwIfAborted } from '../../base/index.ts';
import type { FidelityScores, MapFit, Rate, Sample } from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { GenerateOptions, LanguageModel } from '../../models/index.ts';
import { bootstrapMean, holm, pairedT, rate, wilcoxon } from '../../stats/index.ts';
import { type Judge, lexicalJudge } from '../judges/index.ts';
import { LIKELIHOOD_METRIC, type LikelihoodCase, likelihoodDifferences } from '../judges/likelihood.ts';
import { oneTargetBlock } from '../maps/figures.ts';
import { capturedRows, completeReplaced, mappedReplacement, meanReplacement } from './arms.ts';
import { completeLockstep } from './lockstep.ts';

/** A prompt without its answer. */
export interface FidelityPrompt extends PairedText {
  /** What the models read. */
  readonly text: string;
  readonly trigger: 'safe' | 'bad';
}

/** Arms that are maps but not the map under test. */
export type ControlArm = 'shuffled' | 'token_mean' | 'random';

/** Options of {@link fidelity}. */
export interface FidelityOptions {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  readonly prompts: readonly FidelityPrompt[];
  /** Maps under test, each with its key in `results.json`; the controls too, all from one block to one block. */
  readonly maps: readonly { readonly label: string; readonly map: ActivationMap }[];
  readonly controls?: Partial<Readonly<Record<ControlArm, ActivationMap>>>;
  /** Judges of texts. Defaults to chrF and exact match. */
  readonly judges?: readonly Judge[];
  /** `all`: generated tokens are replaced too, greedily and with one tokenizer for both models. Defaults to `prefill`. */
  readonly replace?: 'prefill' | 'all';
  /** The judge `likelihood` as well. Defaults to true. */
  readonly likelihood?: boolean;
  /** For `samples`. */
  readonly behaviour: string;
  /** Greedy; `maxNewTokens` defaults to 24. */
  readonly generation?: Omit<GenerateOptions, 'fwdHooks' | 'logprobs'>;
  /** Prompts worked on at a time. Defaults to 64. */
  readonly batch?: number;
  readonly rng: Rng;
  /** Defaults to 10,000. */
  readonly resamples?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
  /** Defaults to `fidelity`. */
  readonly stage?: string;
}

type BySafety = { safe?: Record<string, FidelityScores>; bad?: Record<string, FidelityScores> };

/** What {@link fidelity} gives. */
export interface FidelityResult {
  /** label → fit → safe|bad → judge → scores: the `fidelity` section of `results.json`. */
  readonly fidelity: Record<string, Partial<Record<MapFit, BySafety>>>;
  readonly samples: Sample[];
  /** Share of prompts whose ceiling completion differs from the unpatched one: must be 0. */
  readonly ceilingChanged: Rate;
}

/** One prompt's completions by arm, and its likelihood differences. */
interface Row {
  readonly prompt: FidelityPrompt;
  readonly own: string;
  readonly source: string;
  readonly completions: Readonly<Record<string, string>>;
  readonly likelihood: Readonly<Record<string, number | null>>;
}

/** Measure all maps on all prompts; baseline, ceiling and controls are run once for all maps. Memory holds one batch and the texts. */
export async function fidelity(options: FidelityOptions): Promise<FidelityResult> {
  const { prompts, maps, controls = {}, judges = defaultJudges(), batch = 64, onProgress = silent } = options;
  const { stage = 'fidelity', signal } = options;
  const arms = armsOf(maps, controls);
  const block = oneTargetBlock(arms, options.target.decoder);
  if (prompts.length === 0) throw new InputError('fidelity: no prompts were given');
  if (options.replace === 'all') checkLockstep(options);
  const rows: Row[] = [];
  for (let at = 0; at < prompts.length; at += batch) {
    throwIfAborted(signal, stage);
    rows.push(...(await runBatch(options, prompts.slice(at, at + batch), arms, block)));
    onProgress({ stage, done: rows.length, total: prompts.length, unit: 'prompts' });
  }
  const scores = await scoreAll(rows, judges, options.likelihood ?? true);
  return {
    fidelity: withHolm(collect(options, rows, scores)),
    samples: samplesOf(options, rows, scores),
    ceilingChanged: rate(rows.map((r) => r.completions.ceiling !== r.own)),
  };
}

/** chrF and exact match. */
function defaultJudges(): Judge[] {
  return [lexicalJudge(), lexicalJudge('exact_match')];
}

/** `map:<label>.<fit>` for maps under test, the arm's name for controls. */
function armsOf(
  maps: FidelityOptions['maps'],
  controls: Partial<Readonly<Record<ControlArm, ActivationMap>>>,
): Record<string, ActivationMap> {
  return {
    ...Object.fromEntries(maps.map(({ label, map }) => [mapArm(label, map), map])),
    ...controls,
  };
}

const mapArm = (label: string, map: ActivationMap): string => `map:${label}.${map.fit}`;

async function runBatch(
  { source, target, generation = {}, likelihood = true, replace = 'prefill', signal }: FidelityOptions,
  prompts: readonly FidelityPrompt[],
  maps: Readonly<Record<string, ActivationMap>>,
  block: number,
): Promise<Row[]> {
  const settings: GenerateOptions = {
    maxNewTokens: 24,
    ...generation,
    signal,
  };
  const [anyMap] = Object.values(maps) as [ActivationMap];
  const targetIds = prompts.map((p) => p.target);
  const own = await target.generate(targetIds, settings);
  const foreign = await source.generate(
    prompts.map((p) => p.source),
    settings,
  );
  // Under `all` the rows reach over B's own completion, for the judge `likelihood`; completions take the prompt's.
  const behind = own.map(({ ids }) => (replace === 'all' ? ids : []));
  const texts = prompts.map((p, b) => ({
    ...p,
    source: [...p.source, ...behind[b]!],
    target: [...p.target, ...behind[b]!],
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
    mean_ablated: y.map((rows, b) => meanReplacement(rows, d, targetIds[b]!.length)),
    ceiling: y,
  };
  for (const [arm, map] of Object.entries(maps))
    replacements[arm] = texts.map((t, b) => mappedReplacement(map, t, x[b] as Float32Array));
  const completions: Record<string, string[]> = {};
  for (const [arm, rows] of Object.entries(replacements)) {
    // B's own activation at a generated token is what stands there already.
    if (replace === 'prefill' || arm === 'ceiling') {
      const made = await completeReplaced(target, targetIds, block, rows, settings);
      completions[arm] = made.map((c) => c.text);
      continue;
    }
    const map = maps[arm];
    const follow =
      map === undefined ? { rows: rows.map((all) => all.subarray(all.length - d)) } : { source, map };
    completions[arm] = await completeLockstep(target, targetIds, block, rows, follow, settings);
  }
  const cases = prompts.map(
    (p, b): LikelihoodCase => ({
      prompt: p.target,
      completion: (own[b] as { ids: readonly number[] }).ids,
      replacements: perPrompt(replacements, b),
    }),
  );
  const differences = likelihood ? await likelihoodDifferences(target.decoder, block, cases, signal) : {};
  return prompts.map((prompt, b) => ({
    prompt,
    own: (own[b] as { text: string }).text,
    source: (foreign[b] as { text: string }).text,
    completions: perPrompt(completions, b),
    likelihood: perPrompt(differences, b),
  }));
}

/** Lockstep needs one tokenizer, and takes the likeliest token. */
function checkLockstep({ prompts, generation = {} }: FidelityOptions): void {
  if (prompts.some((p) => p.alignment !== undefined))
    throw new InputError(
      'fidelity: replace "all" runs both models over the same tokens, and these have different tokenizers; use replace "prefill"',
    );
  const asked = (['temperature', 'topK', 'topP', 'stopStrings'] as const).filter(
    (key) => generation[key] !== undefined,
  );
  if (asked.length > 0)
    throw new InputError(`fidelity: replace "all" decodes greedily; leave out ${asked.join(', ')}`);
}

/** Entry b of every arm. */
function perPrompt<T>(byArm: Readonly<Record<string, readonly T[]>>, b: number): Record<string, T> {
  return Object.fromEntries(Object.entries(byArm).map(([arm, list]) => [arm, list[b] as T]));
}

/** Scores of one judge: by arm, one a prompt (null where it has none); `toSource` = mapped text against A's own. */
interface JudgeScores {
  readonly metric: string;
  readonly byArm: Readonly<Record<string, readonly (number | null)[]>>;
  readonly toSource?: Readonly<Record<string, readonly number[]>>;
}

async function scoreAll(
  rows: readonly Row[],
  judges: readonly Judge[],
  likelihood: boolean,
): Promise<Record<string, JudgeScores>> {
  const arms = Object.keys((rows[0] as Row).completions);
  const out: Record<string, JudgeScores> = {};
  for (const judge of judges) {
    const byArm: Record<string, number[]> = {};
    const toSource: Record<string, number[]> = {};
    for (const arm of arms) {
      const candidates = rows.map((r) => r.completions[arm] as string);
      byArm[arm] = await judge.score(
        candidates.map((candidate, i) => ({ candidate, reference: rows[i]!.own })),
      );
      if (arm.startsWith('map:'))
        toSource[arm] = await judge.score(
          candidates.map((candidate, i) => ({ candidate, reference: rows[i]!.source })),
        );
    }
    out[judge.name] = { metric: judge.metric, byArm, toSource };
  }
  if (likelihood)
    out.likelihood = {
      metric: LIKELIHOOD_METRIC,
      byArm: Object.fromEntries(arms.map((arm) => [arm, rows.map((r) => r.likelihood[arm] ?? null)])),
    };
  return out;
}

function collect(
  options: FidelityOptions,
  rows: readonly Row[],
  scores: Readonly<Record<string, JudgeScores>>,
): FidelityResult['fidelity'] {
  const out: FidelityResult['fidelity'] = {};
  for (const { label, map } of options.maps) {
    const sides: BySafety = {};
    for (const side of ['safe', 'bad'] as const) {
      const members = rows.flatMap((r, i) => (r.prompt.trigger === side ? [i] : []));
      const judged = Object.entries(scores).flatMap(([name, judge]): [string, FidelityScores][] => {
        const entry = scoresOf(options, rows, members, judge, mapArm(label, map), `${side} ${name}`);
        return entry === undefined ? [] : [[name, entry]];
      });
      if (judged.length > 0) sides[side] = Object.fromEntries(judged);
    }
    out[label] = { ...out[label], [map.fit]: sides };
  }
  return out;
}

/** Many maps, sides and judges are tested at once: p adjusted over all of them. */
function withHolm(fidelity: FidelityResult['fidelity']): FidelityResult['fidelity'] {
  const tested = Object.values(fidelity)
    .flatMap((fits) => Object.values(fits))
    .flatMap((sides) => [sides?.safe, sides?.bad])
    .flatMap((judges) => Object.values(judges ?? {}))
    .flatMap(({ test }) => (test === undefined ? [] : [test]));
  holm(tested.map(({ p }) => p)).forEach((p, i) => {
    tested[i]!.holm_p = p;
  });
  return fidelity;
}

const BASELINES = ['mean_ablated', 'ceiling', 'shuffled', 'token_mean', 'random'] as const;

/** One judge's figures of one map on some prompts; undefined where nothing was scored. */
function scoresOf(
  { rng, resamples = 10_000 }: FidelityOptions,
  rows: readonly Row[],
  members: readonly number[],
  { metric, byArm, toSource }: JudgeScores,
  arm: string,
  stream: string,
): FidelityScores | undefined {
  const scored = members.filter((i) => byArm[arm]?.[i] != null);
  if (scored.length === 0) return undefined;
  const values = (name: string): number[] => scored.map((i) => byArm[name]?.[i] as number);
  const mean = (name: string): Rate =>
    bootstrapMean(values(name), rng.fork(`fidelity ${stream} ${name}`), { resamples });
  const baselines = BASELINES.filter((name) => byArm[name] !== undefined);
  const test = pairedTest(values(arm), values('mean_ablated'));
  const apart = scored.filter((i) => rows[i]!.own !== rows[i]!.source);
  const nearer = toSource?.[arm];
  return {
    metric,
    mapped: mean(arm),
    ...Object.fromEntries(baselines.map((name) => [name, mean(name)])),
    ...(nearer === undefined || apart.length === 0
      ? {}
      : { target_vs_source: rate(apart.map((i) => (byArm[arm]?.[i] as number) > (nearer[i] as number))) }),
    test,
  };
}

/** Mapped against mean-ablated, two-sided; none where there are fewer than two pairs or t is not finite (all differences equal). */
function pairedTest(mapped: readonly number[], ablated: readonly number[]): FidelityScores['test'] {
  if (mapped.length < 2) return undefined;
  const { t, p, dz } = pairedT(mapped, ablated);
  if (!Number.isFinite(t) || !Number.isFinite(dz)) return undefined;
  return { t, p, dz, wilcoxon_p: wilcoxon(mapped, ablated).p };
}

function samplesOf(
  { behaviour, maps }: FidelityOptions,
  rows: readonly Row[],
  scores: Readonly<Record<string, JudgeScores>>,
): Sample[] {
  const mapOf = new Map(maps.map(({ label, map }) => [mapArm(label, map), { kind: label, fit: map.fit }]));
  return rows.flatMap((row, i): Sample[] => {
    const { prompt, own, source } = row;
    const common = {
      stage: 'fidelity',
      behaviour,
      side: 'target' as const,
      prompt_id: prompt.prompt,
      prompt: prompt.text,
      trigger: prompt.trigger,
      references: { [prompt.trigger]: own, source },
    };
    const unpatched: Sample = {
      ...common,
      id: `${behaviour}/fidelity/unpatched/${prompt.id}/${prompt.trigger}`,
      arm: 'unpatched',
      completion: own,
    };
    const patched = Object.entries(row.completions).map(([arm, completion]): Sample => {
      const map = mapOf.get(arm);
      const name = map ? `${map.kind}.${map.fit}/mapped` : arm;
      const judged = Object.entries(scores).flatMap(([judge, { metric, byArm }]): [string, number][] => {
        const score = byArm[arm]?.[i];
        return score == null ? [] : [[`${judge}.${metric}`, score]];
      });
      return {
        ...common,
        id: `${behaviour}/fidelity/${name}/${prompt.id}/${prompt.trigger}`,
        arm: map ? 'mapped' : arm,
        ...(map ? { map } : {}),
        completion,
        outcome: { unchanged: completion === own },
        scores: Object.fromEntries(judged),
      };
    });
    return [unpatched, ...patched];
  });
}
