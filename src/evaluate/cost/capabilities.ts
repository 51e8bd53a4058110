/**
 * @file What steering costs (docs/concepts/method.md#cost, #capabilities): answers that are right, and teacher-forced KL, in every state of the target: untagged,
 * safe, bad, steered natively, by the map, by noise, steered where nothing was to steer, and with all activations replaced.
 */
import { InputError, type Rng, throwIfAborted } from '../../base/index.ts';
import { COST_STATES, type CostState, type Rate, type Sample } from '../../contracts/index.ts';
import { captureResiduals, klDivergence, type Patch, patchHooks } from '../../interventions/index.ts';
import { HookTable, type LanguageModel } from '../../models/index.ts';
import { bootstrapMean, rate } from '../../stats/index.ts';
import { randomLike } from '../arms/controls.ts';
import { draftsOf, type EvaluateOptions, endRules, type SampleTags } from '../arms/run.ts';
import {
  type BlockOf,
  type MapFn,
  mapRows,
  mapSpans,
  type StateSpans,
  sourceRow,
  sourceSpans,
  targetSpans,
} from '../arms/spans.ts';
import { draftAcceptance, type PatchedRun, runDrafted } from '../drafts/run.ts';
import { logitRows } from '../drafts/verify.ts';
import {
  alignRows,
  type ContrastCase,
  completionText,
  type StateRuns,
  spanPositions,
  unpatchedRuns,
} from '../subject/cases.ts';

/** A task item: its prompt in every state, and when a completion is right. */
export interface CapabilityItem {
  readonly task: string;
  readonly prompt: ContrastCase;
  readonly isRight: (completion: string) => boolean;
}

/** What is compared. */
export interface CapabilityInput {
  readonly source: BlockOf;
  readonly target: BlockOf;
  readonly items: readonly CapabilityItem[];
  readonly map: MapFn;
  /** The target before its fine-tune, for the state `clean`. */
  readonly clean?: LanguageModel;
  /** Unpatched completions of the items' prompts by the target, if they are there already. */
  readonly runs?: StateRuns;
}

/** Options of {@link capabilities}. */
export interface CapabilityOptions extends EvaluateOptions {
  readonly rng: Rng;
  readonly tags: SampleTags;
  /** Defaults to all (`clean` only with a clean model). */
  readonly states?: readonly CostState[];
  /** Resamples of an interval. Defaults to 10 000. */
  readonly bootstrap?: number;
}

/** What {@link capabilities} returns. */
export interface CapabilityResult {
  /** `results.capabilities`: task → state → share of right answers. */
  readonly accuracy: Record<string, Partial<Record<CostState, Rate>>>;
  /** `results.cost_kl`: state → nats a token. */
  readonly kl: Partial<Record<CostState, Rate>>;
  readonly samples: Sample[];
  readonly draftAcceptance: number;
}

/** Patched states and the run each patches. */
const PATCHED = {
  bad_native: 'bad',
  bad_mapped: 'bad',
  bad_random: 'bad',
  safe_mapped: 'safe',
  full_replacement: 'safe',
} as const satisfies Partial<Record<CostState, 'bad' | 'safe'>>;
type PatchedState = keyof typeof PATCHED;
const PLAIN = { untagged: 'none', safe: 'safe', bad: 'bad' } as const;

/**
 * Accuracy by greedy completion in every state. KL(p ‖ q) a token: p the unpatched target on the safe prompt, q the state on its own
 * prompt, both teacher-forced along the safe completion: 0 for `safe`, and what a steered bad run still differs.
 */
export async function capabilities(
  input: CapabilityInput,
  options: CapabilityOptions,
): Promise<CapabilityResult> {
  const { target, items } = input;
  if (items.length === 0) throw new InputError('capabilities: no task item was given');
  const states = (options.states ?? COST_STATES).filter((s) => s !== 'clean' || input.clean !== undefined);
  const cases = items.map((item) => item.prompt);
  const rules = endRules(target.model, options);
  const runs = input.runs ?? (await unpatchedRuns(target.model, cases, rules, ['none', 'safe', 'bad']));
  const texts = new Map<CostState, readonly string[]>();
  for (const state of ['untagged', 'safe', 'bad'] as const)
    if (states.includes(state))
      texts.set(
        state,
        runs[PLAIN[state]]!.map((run) => run.text),
      );
  if (input.clean !== undefined && states.includes('clean')) {
    const clean = await unpatchedRuns(input.clean, cases, endRules(input.clean, options), ['none']);
    texts.set(
      'clean',
      clean.none!.map((run) => run.text),
    );
  }
  const patched = (Object.keys(PATCHED) as PatchedState[]).filter((state) => states.includes(state));
  const patches = await statePatches(input, cases, patched, options);
  const acceptance = await completePatched(input, cases, runs, patches, texts, options);
  const accuracy: CapabilityResult['accuracy'] = {};
  for (const task of new Set(items.map((item) => item.task))) {
    const own = items.flatMap((item, i) => (item.task === task ? [i] : []));
    accuracy[task] = Object.fromEntries(
      states.flatMap((state) => {
        const all = texts.get(state);
        return all === undefined ? [] : [[state, rate(own.map((i) => items[i]!.isRight(all[i]!)))]];
      }),
    );
  }
  return {
    accuracy,
    kl: await costKl(input, cases, runs, patches, states, options),
    samples: samplesOf(items, texts, options.tags),
    draftAcceptance: acceptance,
  };
}

/** Patches of every patched state, a list a case. */
type StatePatches = ReadonlyMap<PatchedState, readonly Patch[]>;

async function statePatches(
  { source, target, map }: CapabilityInput,
  cases: readonly ContrastCase[],
  states: readonly PatchedState[],
  { rng, signal }: CapabilityOptions,
): Promise<StatePatches> {
  const widths = { source: source.model.config.dModel, target: target.model.config.dModel };
  const d = widths.target;
  const native = await targetSpans(target, cases, signal);
  const mapped = await mapSpans(map, await sourceSpans(source, cases, signal), cases, widths);
  const atSpan = (state: 'bad' | 'safe', make: (i: number, n: number) => Float32Array): Patch[] =>
    cases.map((c, i) => {
      const positions = spanPositions(c, state);
      return { block: target.block, positions, values: make(i, positions.length) };
    });
  const safeOf = (spans: StateSpans) => (i: number, n: number) => alignRows(spans.safe[i]!, n, d);
  const make: Record<PatchedState, () => Promise<Patch[]> | Patch[]> = {
    bad_native: () => atSpan('bad', safeOf(native)),
    bad_mapped: () => atSpan('bad', safeOf(mapped)),
    bad_random: () =>
      atSpan('bad', (i, n) =>
        randomLike(safeOf(native)(i, n), d, rng.fork(`capability/random/prompt ${cases[i]!.id}`)),
      ),
    safe_mapped: () => atSpan('safe', safeOf(mapped)),
    full_replacement: () => fullReplacement(source, target, map, cases, signal),
  };
  const out = new Map<PatchedState, readonly Patch[]>();
  for (const state of states) out.set(state, await make[state]());
  return out;
}

/** Every position of the safe prompt but the first, set to the mapped activation of the source. */
async function fullReplacement(
  source: BlockOf,
  target: BlockOf,
  map: MapFn,
  cases: readonly ContrastCase[],
  signal: AbortSignal | undefined,
): Promise<Patch[]> {
  const widths = { source: source.model.config.dModel, target: target.model.config.dModel };
  const positions = cases.map((c) => Array.from({ length: c.safe.ids.length - 1 }, (_, k) => k + 1));
  const rows = cases.map((c, i) => sourceRow(source.model, c.safe, positions[i]!));
  const given = await captureResiduals(source.model.decoder, rows, [source.block], { signal });
  const tokens = cases.map((c, i) => positions[i]!.map((p) => c.safe.ids[p]!));
  const mapped = await mapRows(
    map,
    given.map((r) => r[0]!),
    tokens,
    widths,
  );
  return cases.map((_, i) => ({ block: target.block, positions: positions[i]!, values: mapped[i]! }));
}

async function completePatched(
  { target }: CapabilityInput,
  cases: readonly ContrastCase[],
  runs: StateRuns,
  patches: StatePatches,
  texts: Map<CostState, readonly string[]>,
  options: CapabilityOptions,
): Promise<number> {
  const places = [...patches].flatMap(([state, list]) => list.map((patch, i) => ({ state, i, patch })));
  if (places.length === 0) return 1;
  const ends = new Map([...patches.keys()].map((state) => [state, cases.map(() => '')]));
  const stats = await runDrafted(
    target.model.decoder,
    places.map(({ state, i, patch }) => ({
      ids: cases[i]![PATCHED[state]].ids,
      drafts: draftsOf(runs, PATCHED[state], i).list,
      from: patch.positions[0]!,
    })),
    [target.block],
    (row): PatchedRun[] => {
      const { state, i, patch } = places[row]!;
      const { of } = draftsOf(runs, PATCHED[state], i);
      return [{ arm: state, ...patch, draft: (state === 'bad_random' ? of.none : of.safe) ?? 0 }];
    },
    (row, _block, _k, outcome) => {
      const { state, i } = places[row]!;
      ends.get(state)![i] = completionText(target.model.tokenizer, outcome.ids);
    },
    {
      ...endRules(target.model, options),
      stage: options.tags.stage,
      batch: options.batch,
      progress: options.progress,
    },
  );
  for (const [state, list] of ends) texts.set(state, list);
  return draftAcceptance(stats);
}

/** Items whose reference logits are held at once. */
const KL_BATCH = 16;

async function costKl(
  { target }: CapabilityInput,
  cases: readonly ContrastCase[],
  runs: StateRuns,
  patches: StatePatches,
  states: readonly CostState[],
  options: CapabilityOptions,
): Promise<CapabilityResult['kl']> {
  const values = new Map<CostState, number[]>();
  for (let at = 0; at < cases.length; at += KL_BATCH) {
    throwIfAborted(options.signal, 'capabilities');
    const members = cases.slice(at, at + KL_BATCH).map((_, j) => at + j);
    const answers = members.map((i) => runs.safe![i]!.ids);
    const reference = await answerLogits(
      target.model,
      members.map((i) => cases[i]!.safe.ids),
      answers,
      [],
    );
    for (const state of states) {
      if (state === 'clean') continue;
      const plan = members.map((i) => patches.get(state as PatchedState)?.[i]);
      const prompt = state in PATCHED ? PATCHED[state as PatchedState] : PLAIN[state as keyof typeof PLAIN];
      const logits = await answerLogits(
        target.model,
        members.map((i) => cases[i]![prompt].ids),
        answers,
        plan,
      );
      const all = values.get(state) ?? [];
      values.set(state, all);
      reference.forEach((rows, j) => {
        const sum = rows.reduce((total, p, k) => total + klDivergence(p, logits[j]![k]!), 0);
        all.push(sum / rows.length);
      });
    }
  }
  return Object.fromEntries(
    [...values].map(([state, list]) => [
      state,
      bootstrapMean(list, options.rng.fork(`cost kl/${state}`), { resamples: options.bootstrap ?? 10_000 }),
    ]),
  );
}

/** Logits that choose every token of the answers and the end behind them, under a plan of patches: [row][token] → [V]. */
async function answerLogits(
  { decoder }: LanguageModel,
  prompts: readonly (readonly number[])[],
  answers: readonly (readonly number[])[],
  plan: readonly (Patch | undefined)[],
): Promise<Float32Array[][]> {
  const hooks = new HookTable(patchHooks(plan, decoder), decoder.nLayers);
  const { tensor } = await decoder.run(
    decoder.embed(
      prompts.map((ids, j) => [...ids, ...answers[j]!]),
      { hooks },
    ),
    { hooks },
  );
  const columns = tensor.shape[1] as number;
  const at = prompts.flatMap((ids, j) =>
    Array.from({ length: answers[j]!.length + 1 }, (_, k) => j * columns + ids.length - 1 + k),
  );
  const flat: Float32Array[] = [];
  for await (const row of logitRows(decoder, tensor.data, at)) flat.push(row.slice());
  let from = 0;
  return answers.map((answer) => {
    from += answer.length + 1;
    return flat.slice(from - answer.length - 1, from);
  });
}

function samplesOf(
  items: readonly CapabilityItem[],
  texts: ReadonlyMap<CostState, readonly string[]>,
  tags: SampleTags,
): Sample[] {
  return [...texts].flatMap(([state, list]) =>
    list.map((completion, i): Sample => {
      const { prompt, task, isRight } = items[i]!;
      const run =
        state in PATCHED
          ? PATCHED[state as PatchedState]
          : state === 'clean'
            ? 'none'
            : PLAIN[state as keyof typeof PLAIN];
      return {
        id: `${tags.behaviour}/${tags.stage}/${task}/${state}/${prompt.id}`,
        stage: tags.stage,
        behaviour: tags.behaviour,
        side: tags.side,
        prompt_id: prompt.id,
        prompt: prompt[run].prompt,
        trigger: run === 'none' ? 'untagged' : run,
        arm: state,
        completion,
        scores: { [`${task}.exact_match`]: isRight(completion) ? 1 : 0 },
      };
    }),
  );
}
