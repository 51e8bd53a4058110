/**
 * @file What steering costs (docs/concepts/method.md#cost, #capabilities): answers that are right, and teacher-forced KL, in every state of the target: untagged,
 * safe, bad, steered natively, by the map, by noise, steered where nothing was to steer, and with all activations replaced.
 */
import { throwIfAborted } from '../../base/index.ts';
import type {
  CapabilitySettings,
  CostState,
  EvaluationSettings,
  Rate,
  Sample,
} from '../../contracts/index.ts';
import { klDivergence, type Patch, patchHooks } from '../../interventions/index.ts';
import { HookTable, type LanguageModel } from '../../models/index.ts';
import { bootstrapMean, rate } from '../../stats/index.ts';
import { randomLike } from '../arms/controls.ts';
import { draftsOf, endRules } from '../arms/run.ts';
import { type BlockOf, mapSpans, type RowMap, type Spans, sourceSpans, targetSpans } from '../arms/spans.ts';
import { type PatchedRun, runDrafted } from '../drafts/run.ts';
import { logitRows } from '../drafts/verify.ts';
import type { ExperimentEnv } from '../env.ts';
import { type Case, completeState, completionText } from '../subject/completions.ts';
import { COST_RUNS, fullReplacement } from './states.ts';

/** A task item: its prompt in every state with the target's completions, and when a completion is right. */
export interface CostItem {
  readonly task: string;
  readonly case: Case;
  readonly isRight: (completion: string) => boolean;
}

/** What is compared. */
export interface CapabilityInput {
  readonly behaviour: string;
  readonly source: BlockOf;
  readonly target: BlockOf;
  readonly items: readonly CostItem[];
  readonly map: RowMap;
  /** The target before its fine-tune, for the state `clean`. */
  readonly clean?: LanguageModel | undefined;
}

/** Settings of {@link capabilities}; the state `clean` only with a clean model. */
export type CapabilityParams = Pick<CapabilitySettings, 'states'> &
  Pick<EvaluationSettings, 'max_tokens' | 'bootstrap'>;

/** What {@link capabilities} returns. */
export interface CapabilityResult {
  /** `results.capabilities`: task → state → share of right answers. */
  readonly accuracy: Record<string, Partial<Record<CostState, Rate>>>;
  /** `results.cost_kl`: state → nats per token. */
  readonly kl: Partial<Record<CostState, Rate>>;
  readonly samples: Sample[];
}

/** Order of the states in what is written. */
const ORDER = Object.keys(COST_RUNS) as CostState[];

/** One item in one state. */
interface StateRun {
  readonly item: CostItem;
  /** Absent where nothing is patched. */
  readonly patch: Patch | undefined;
  completion: string;
}

type Runs = Map<CostState, StateRun[]>;

/**
 * Accuracy by greedy completion in every state. KL(p ‖ q) per token: p the unpatched target on the safe prompt, q the state on its own
 * prompt, both teacher-forced along the safe completion: 0 for `safe`, and what a steered bad run still differs.
 */
export async function capabilities(
  input: CapabilityInput,
  p: CapabilityParams,
  env: ExperimentEnv,
): Promise<CapabilityResult> {
  const states = p.states.filter((s) => s !== 'clean' || input.clean !== undefined);
  const runs = await statesOf(input, states, p, env);
  await completePatched(input.target.model, runs, p, env);
  const accuracy: CapabilityResult['accuracy'] = {};
  for (const task of new Set(input.items.map((item) => item.task)))
    accuracy[task] = Object.fromEntries(
      states.map((state) => {
        const own = (runs.get(state) ?? []).filter(({ item }) => item.task === task);
        return [state, rate(own.map(({ item, completion }) => item.isRight(completion)))];
      }),
    );
  return { accuracy, kl: await costKl(input.target.model, runs, p, env), samples: samplesOf(input, runs) };
}

/** Every item in every state: the completions that are known, and the patches of the others. */
async function statesOf(
  input: CapabilityInput,
  states: readonly CostState[],
  p: CapabilityParams,
  env: ExperimentEnv,
): Promise<Runs> {
  const { items, clean } = input;
  const cases = items.map((item) => item.case);
  const runs: Runs = new Map();
  const patches = await patchesOf(input, cases, env);
  for (const state of ORDER.filter((s) => states.includes(s))) {
    const { run, patched } = COST_RUNS[state];
    const made = patched ? await patches[state as PatchedState]() : undefined;
    const said =
      state === 'clean' && clean
        ? await completeState(clean, cases, 'none', endRules(clean, { ...p, signal: env.signal }))
        : cases.map((c) => c.unpatched[run]);
    runs.set(
      state,
      items.map((item, i) => ({ item, patch: made?.[i], completion: said[i].text })),
    );
  }
  return runs;
}

type PatchedState = 'bad_native' | 'bad_mapped' | 'bad_random' | 'safe_mapped' | 'full_replacement';

/** How each patched state is made. */
async function patchesOf(
  { source, target, map }: CapabilityInput,
  cases: readonly Case[],
  { rng, signal }: ExperimentEnv,
): Promise<Record<PatchedState, () => Patch[] | Promise<Patch[]>>> {
  const native = await targetSpans(target, cases, signal);
  const mapped = await mapSpans(map, await sourceSpans(source, cases, signal));
  const { block } = target;
  const put = (state: 'bad' | 'safe', values: (c: Case) => Float32Array): Patch[] =>
    cases.map((c) => ({ block, positions: c.states[state].positions, values: values(c) }));
  const safe = (from: Spans, state: 'bad' | 'safe') => (c: Case) => from.onto(c, state, 'safe');
  const stream = (c: Case) => rng.fork(`capability/random/prompt ${c.id}`);
  return {
    bad_native: () => put('bad', safe(native, 'bad')),
    bad_mapped: () => put('bad', safe(mapped, 'bad')),
    bad_random: () => put('bad', (c) => randomLike(native.onto(c, 'bad', 'safe'), native.width, stream(c))),
    safe_mapped: () => put('safe', safe(mapped, 'safe')),
    full_replacement: () => fullReplacement({ source, target, map }, cases, signal),
  };
}

/** Complete every patched run, by drafts. */
async function completePatched(
  model: LanguageModel,
  runs: Runs,
  p: CapabilityParams,
  { progress, signal }: ExperimentEnv,
): Promise<void> {
  const patched = [...runs].flatMap(([state, list]) =>
    list.flatMap((run) => {
      if (run.patch === undefined) return [];
      const direction = COST_RUNS[state].run as 'bad' | 'safe';
      return [{ state, run, patch: run.patch, direction, drafts: draftsOf(run.item.case, direction) }];
    }),
  );
  if (patched.length === 0) return;
  const ended = runDrafted(
    model.decoder,
    {
      rows: patched.map(({ run, patch, direction, drafts }) => ({
        ids: run.item.case.states[direction].ids,
        drafts: drafts.list,
        from: patch.positions[0],
      })),
      blocks: [patched[0].patch.block],
      runsOf: (row): PatchedRun[] => {
        const { state, patch, drafts } = patched[row];
        return [{ arm: state, ...patch, draft: state === 'bad_random' ? drafts.of.none : drafts.of.safe }];
      },
    },
    { ...endRules(model, { ...p, signal }), stage: 'capabilities', progress },
  );
  for await (const { row, outcome } of ended)
    patched[row].run.completion = completionText(model.tokenizer, outcome.ids);
}

/** Items whose reference logits are held at once. */
const KL_BATCH = 16;

async function costKl(
  model: LanguageModel,
  runs: Runs,
  { bootstrap }: CapabilityParams,
  { rng, signal }: ExperimentEnv,
): Promise<CapabilityResult['kl']> {
  const compared = [...runs].filter(([state]) => state !== 'clean');
  const values = new Map(compared.map(([state]): [CostState, number[]] => [state, []]));
  const cases = (compared[0]?.[1] ?? []).map(({ item }) => item.case);
  for (let at = 0; at < cases.length; at += KL_BATCH) {
    throwIfAborted(signal, 'capabilities');
    const members = cases.slice(at, at + KL_BATCH);
    const rows = (state: 'none' | 'safe' | 'bad') =>
      members.map((c) => ({ prompt: c.states[state].ids, answer: c.unpatched.safe.ids }));
    const reference = await answerLogits(model, rows('safe'), []);
    for (const [state, list] of compared) {
      const plan = list.slice(at, at + KL_BATCH).map(({ patch }) => patch);
      const logits = await answerLogits(model, rows(COST_RUNS[state].run), plan);
      reference.forEach((of, j) => {
        const sum = of.reduce((total, p, k) => total + klDivergence(p, logits[j][k]), 0);
        values.get(state)?.push(sum / of.length);
      });
    }
  }
  return Object.fromEntries(
    [...values].map(([state, list]) => [
      state,
      bootstrapMean(list, rng.fork(`cost kl/${state}`), { resamples: bootstrap }),
    ]),
  );
}

/** Logits that choose every token of the answers and the end after them, under a plan of patches: [row][token] → [V]. */
async function answerLogits(
  { decoder }: LanguageModel,
  rows: readonly { readonly prompt: readonly number[]; readonly answer: readonly number[] }[],
  plan: readonly (Patch | undefined)[],
): Promise<Float32Array[][]> {
  const hooks = new HookTable(patchHooks(plan, decoder), decoder.nLayers);
  const sequences = rows.map(({ prompt, answer }) => [...prompt, ...answer]);
  const { tensor } = await decoder.run(decoder.embed(sequences, { hooks }), { hooks });
  const columns = tensor.shape[1];
  const at = rows.flatMap(({ prompt, answer }, j) =>
    Array.from({ length: answer.length + 1 }, (_, k) => j * columns + prompt.length - 1 + k),
  );
  const flat: Float32Array[] = [];
  for await (const row of logitRows(decoder, tensor.data, at)) flat.push(row.slice());
  let from = 0;
  return rows.map(({ answer }) => {
    from += answer.length + 1;
    return flat.slice(from - answer.length - 1, from);
  });
}

function samplesOf({ behaviour }: CapabilityInput, runs: Runs): Sample[] {
  return [...runs].flatMap(([state, list]) =>
    list.map(({ item: { case: c, task, isRight }, completion }): Sample => {
      const { run } = COST_RUNS[state];
      return {
        id: `${behaviour}/capabilities/${task}/${state}/${c.id}`,
        stage: 'capabilities',
        behaviour,
        prompt_id: c.id,
        prompt: c.states[run].prompt,
        trigger: run === 'none' ? 'untagged' : run,
        arm: state,
        completion,
        scores: { [`${task}.exact_match`]: isRight(completion) ? 1 : 0 },
      };
    }),
  );
}
