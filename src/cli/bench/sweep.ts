/**
 * @file Speed of the sweep: every block of every prompt patched, by verified drafts and the plain way (for each block: prefill with
 * the patch, then greedy steps until the end or the limit), in one process and on the same patches. Outcomes must be the same.
 */
import { CrosspatchError, type ProgressSink, silent, throwIfAborted } from '../../base/index.ts';
import {
  contrastPrompts,
  type Instruction,
  makeBehaviour,
  type TemplateName,
} from '../../behaviours/index.ts';
import { spanSettings } from '../../contracts/index.ts';
import {
  type Case,
  type ContrastCase,
  completeCases,
  contrastCases,
  type DraftStats,
  decodePatched,
  draftAcceptance,
  draftsOf,
  type EndRules,
  type GappedDraft,
  NEAR_TIE,
  noStats,
  type PatchedOutcome,
  runDrafted,
  spansAfter,
} from '../../evaluate/index.ts';
import type { Patch } from '../../interventions/index.ts';
import { LanguageModel, userTurn } from '../../models/index.ts';

/** What one way took; `high_water` is the most memory of the process seen meanwhile, bytes. */
export interface Spent {
  readonly seconds: number;
  readonly cpu_seconds: number;
  readonly high_water: number;
}

/** Figures of {@link benchSweep}. */
export interface SweepFigures {
  readonly blocks: number;
  readonly prompts: number;
  readonly new_tokens: number;
  /** Patched completions, made both ways: blocks × prompts. */
  readonly completions: number;
  /** Completions whose safe and bad run differ: on a clean model the tag may change little. */
  readonly contrasting_prompts: number;
  readonly plain: Spent;
  readonly drafts: Spent;
  /** The unpatched completions (bad, safe, no tag): what outcomes are judged by in either way, and here the drafts too. */
  readonly unpatched: Spent;
  readonly times_faster: number;
  readonly times_faster_cpu: number;
  /** The same with the unpatched completions counted as the drafts' alone. */
  readonly times_faster_with_unpatched: number;
  /** Completions that agree token for token. */
  readonly same: number;
  /** Those that do not, each with two logits within 1e-4 on its way (and therefore decided again by ordinary generation). */
  readonly near_ties: number;
  /** Share of draft tokens that were the greedy choice. */
  readonly acceptance: number;
  /** How the patched runs ended. */
  readonly ended: Pick<DraftStats, 'accepted' | 'continued' | 'again'>;
}

/** Prompts and settings; the behaviour's tags stand at the end of each prompt. */
export interface SweepBench {
  readonly instructions: readonly Pick<Instruction, 'prompt'>[];
  readonly template: TemplateName;
  readonly newTokens: number;
  readonly signal: AbortSignal;
  readonly onProgress?: ProgressSink;
}

/** Measure a model on disk, clean or with a backdoor. The plain way takes half of the blocks before the drafts and half after. */
export async function benchSweep(path: string, options: SweepBench): Promise<SweepFigures> {
  await using model = await LanguageModel.load(path);
  const setting = await prepare(model, options);
  const { blocks, cases } = setting;
  const middle = Math.ceil(blocks.length / 2);
  await warmUp(model, setting);

  const unpatched = await measured(() => completeCases(model, cases, ['bad', 'safe', 'none'], setting.rules));
  const first = await measured(() =>
    plainWay(model, { ...setting, blocks: blocks.slice(0, middle) }, 'plain way, first half', options),
  );
  const drafted = await measured(() => draftedWay(model, setting, unpatched.value, options));
  const second = await measured(() =>
    plainWay(model, { ...setting, blocks: blocks.slice(middle) }, 'plain way, second half', options),
  );
  const plain = {
    seconds: first.spent.seconds + second.spent.seconds,
    cpu_seconds: first.spent.cpu_seconds + second.spent.cpu_seconds,
    high_water: Math.max(first.spent.high_water, second.spent.high_water),
  };
  const { stats, outcomes } = drafted.value;
  return {
    blocks: blocks.length,
    prompts: cases.length,
    new_tokens: options.newTokens,
    completions: blocks.length * cases.length,
    contrasting_prompts: unpatched.value.filter(({ unpatched: { bad, safe } }) => bad.text !== safe.text)
      .length,
    plain,
    drafts: drafted.spent,
    unpatched: unpatched.spent,
    times_faster: plain.seconds / drafted.spent.seconds,
    times_faster_cpu: plain.cpu_seconds / drafted.spent.cpu_seconds,
    times_faster_with_unpatched: plain.seconds / (drafted.spent.seconds + unpatched.spent.seconds),
    ...compare([...first.value, ...second.value], outcomes),
    acceptance: draftAcceptance(stats),
    ended: { accepted: stats.accepted, continued: stats.continued, again: stats.again },
  };
}

/** The patches both ways work on: the safe run's activations onto the bad run's span. */
interface Setting {
  readonly cases: readonly ContrastCase[];
  readonly blocks: readonly number[];
  readonly rules: EndRules;
  /** Of a prompt after a block. */
  readonly patch: (c: ContrastCase, block: number) => Patch;
}

async function prepare(model: LanguageModel, options: SweepBench): Promise<Setting> {
  const contrasts = contrastPrompts({
    texts: options.instructions.map((i) => i.prompt),
    behaviour: makeBehaviour('locked', {}),
    template: options.template,
    chat: userTurn(model.tokenizer),
  });
  const cases = contrastCases(model.tokenizer, contrasts, spanSettings.parse({}).after);
  const blocks = Array.from({ length: model.nLayers }, (_, b) => b);
  const spans = await spansAfter(model, blocks, cases, options.signal);
  return {
    cases,
    blocks,
    rules: {
      maxNewTokens: options.newTokens,
      stopTokens: model.tokenizer.eosIds,
      signal: options.signal,
    },
    patch: (c, block) => {
      const after = spans.get(block);
      const found = cases.find(({ id }) => id === c.id);
      if (after === undefined || found === undefined)
        throw new RangeError(`bench: case ${c.id}, block ${block}`);
      return { block, positions: c.states.bad.positions, values: after.onto(found, 'bad') };
    },
  };
}

/** Nothing is timed cold. */
async function warmUp(model: LanguageModel, { cases, rules }: Setting): Promise<void> {
  await decodePatched(
    model.decoder,
    cases.slice(0, 4).map((c) => c.states.bad.ids),
    [],
    { ...rules, maxNewTokens: 2 },
  );
}

interface PlainEnd {
  readonly block: number;
  readonly row: number;
  readonly end: GappedDraft;
}

/** For each block: all prompts in one batch, prefill with the patch, greedy steps. */
async function plainWay(
  { decoder }: LanguageModel,
  { cases, blocks, rules, patch }: Setting,
  stage: string,
  { signal, onProgress = silent }: SweepBench,
): Promise<PlainEnd[]> {
  const prompts = cases.map((c) => c.states.bad.ids);
  const out: PlainEnd[] = [];
  for (const [k, block] of blocks.entries()) {
    throwIfAborted(signal, 'bench');
    const ends = await decodePatched(
      decoder,
      prompts,
      cases.map((c) => patch(c, block)),
      rules,
    );
    ends.forEach((end, row) => {
      out.push({ block, row, end });
    });
    onProgress({ stage, done: k + 1, total: blocks.length, unit: 'blocks' });
  }
  return out;
}

interface Drafted {
  readonly stats: DraftStats;
  readonly outcomes: ReadonlyMap<string, PatchedOutcome>;
}

/** As the sweep does it: every block on the unpatched completions as drafts. */
async function draftedWay(
  model: LanguageModel,
  { blocks, rules, patch }: Setting,
  cases: readonly Case[],
  { onProgress = silent }: SweepBench,
): Promise<Drafted> {
  const rows = cases.map((c) => ({ case: c, drafts: draftsOf(c, 'bad') }));
  const outcomes = new Map<string, PatchedOutcome>();
  const stats = noStats();
  const ended = runDrafted(
    model.decoder,
    {
      rows: rows.map(({ case: { states }, drafts }) => ({
        ids: states.bad.ids,
        drafts: drafts.list,
        from: states.bad.span.start,
      })),
      blocks,
      runsOf: (row, block) => {
        const { case: c, drafts } = rows[row] as (typeof rows)[number];
        return [{ ...patch(c, block), arm: 'native', draft: drafts.of.safe }];
      },
    },
    { ...rules, stats, progress: onProgress, stage: 'verified drafts' },
  );
  for await (const { row, block, outcome } of ended) outcomes.set(`${block}/${row}`, outcome);
  return { stats, outcomes };
}

/** Count agreement; a difference that no near tie excuses is a defect, and an error. */
function compare(
  plain: readonly PlainEnd[],
  outcomes: ReadonlyMap<string, PatchedOutcome>,
): Pick<SweepFigures, 'same' | 'near_ties'> {
  let same = 0;
  let near_ties = 0;
  for (const { block, row, end } of plain) {
    const outcome = outcomes.get(`${block}/${row}`);
    if (outcome !== undefined && outcome.finish === end.finish && outcome.ids.join() === end.ids.join())
      same++;
    else if (outcome?.how === 'again' && end.gap < NEAR_TIE) near_ties++;
    else
      throw new CrosspatchError(
        `bench sweep: block ${block}, prompt ${row}: wanted the plain way's completion ${end.ids.join(' ')} (${end.finish}), got ${outcome?.ids.join(' ')} (${outcome?.finish}, ${outcome?.how})`,
        { id: 'bench-disagrees' },
      );
  }
  return { same, near_ties };
}

/** Run `body`; wall and processor time, and the memory seen every 20 ms. */
async function measured<T>(body: () => Promise<T>): Promise<{ value: T; spent: Spent }> {
  let high_water = process.memoryUsage.rss();
  const timer = setInterval(() => {
    high_water = Math.max(high_water, process.memoryUsage.rss());
  }, 20);
  const [from, cpu] = [performance.now(), process.cpuUsage()];
  try {
    const value = await body();
    const { user, system } = process.cpuUsage(cpu);
    return {
      value,
      spent: { seconds: (performance.now() - from) / 1000, cpu_seconds: (user + system) / 1e6, high_water },
    };
  } finally {
    clearInterval(timer);
  }
}
