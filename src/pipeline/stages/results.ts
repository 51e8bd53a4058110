/** @file Stage `results`: put what the stages found together as results.json, checked against its contract. */

import { z } from 'zod';
import { CrosspatchError, defined } from '../../base/index.ts';
import {
  type BehaviourResults,
  behaviourParams,
  type Results,
  resultsSchema,
  type WorthRow,
} from '../../contracts/index.ts';
import { inverseEntry } from '../../evaluate/index.ts';
import { defineStage, type InputsSoFar, type OutputsOf, optional, subjectModel } from '../stage.ts';
import { blockPairsStage } from './block-pairs.ts';
import { type CapabilitiesOutput, capabilitiesStage } from './capabilities.ts';
import { type FidelityOutput, fidelityStage } from './fidelity.ts';
import { mapsStage } from './maps.ts';
import { promptsStage } from './prompts.ts';
import { type RepairOutput, repairStage } from './repair.ts';
import { runsStage } from './runs.ts';
import { sweepStage } from './sweep.ts';
import { transferStage } from './transfer.ts';

const resultsParams = z.strictObject({
  behaviour: behaviourParams,
  source: z.string(),
  target: z.string(),
  after: z.int(),
  train_blocks: z.record(z.string(), z.unknown()),
  notes: z.array(z.string()),
});

/** Lists hold source, then target. */
const read = {
  tuned: [subjectModel],
  runs: [runsStage],
  sweeps: [sweepStage],
  maps: mapsStage,
  blockPairs: optional(blockPairsStage),
  transfer: optional(transferStage),
  repair: optional(repairStage),
  fidelity: optional(fidelityStage),
  /** A task in a state each. */
  capabilities: [capabilitiesStage],
  prompts: optional(promptsStage),
} as const;

/** One entry of `results.behaviours`. */
export const behaviourResultsStage = defineStage({
  name: 'behaviour-results',
  version: '1',
  module: import.meta.url,
  params: resultsParams,
  inputs: read,
  run: async ({ params, inputs }): Promise<BehaviourResults> => assemble(params, inputs),
  preview: assemble,
});

/** The whole of results.json, timings aside (the runner adds them). */
export const resultsStage = defineStage({
  name: 'results',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({}),
  inputs: { behaviours: [behaviourResultsStage] },
  run: async ({ inputs }): Promise<Omit<Results, 'timings' | 'peak_memory_bytes'>> => ({
    schema_version: 1,
    behaviours: inputs.behaviours.map((b) => b.output),
  }),
  preview: (_, { behaviours = [] }) => ({
    schema_version: 1,
    behaviours: behaviours.flatMap((b) => (b === undefined ? [] : [b.output])),
  }),
});

/** One entry of `results.behaviours` from what there is. */
function assemble(
  p: z.output<typeof resultsParams>,
  inputs: InputsSoFar<OutputsOf<typeof read>>,
): BehaviourResults {
  const [sourceRuns, targetRuns] = (inputs.runs ?? []).map((r) => r?.output);
  const [sourceSweep, targetSweep] = (inputs.sweeps ?? []).map((s) => s?.output);
  const maps = inputs.maps?.output;
  const transfer = inputs.transfer?.output;
  const fidelity = inputs.fidelity?.output;
  const both = <T, U>(
    a: T | undefined,
    b: T | undefined,
    of: (x: T) => U | undefined,
  ): { source?: U; target?: U } => {
    const source = a && of(a);
    const target = b && of(b);
    return { source, target };
  };
  const tasks = (inputs.capabilities ?? []).flatMap((c) => c?.output ?? []);
  const inverse = Object.fromEntries(
    Object.entries(maps?.inverse ?? {}).map(([method, entry]) => [
      method,
      { ...inverseEntry(entry), ...fidelity?.inverse[method] },
    ]),
  );
  const entry = {
    pair: {
      source: p.source,
      target: p.target,
      behaviour: p.behaviour.name,
      placement: p.behaviour.placement,
      source_block: maps?.source_block,
      target_block: maps?.target_block,
      span: { after: p.after },
      train_blocks: p.train_blocks,
    },
    backdoor: both(sourceRuns, targetRuns, (r) => r.backdoor),
    sweep: both(sourceSweep, targetSweep, (s) => [...s.rows]),
    heatmap: both(sourceSweep, targetSweep, (s) => s.heatmap),
    maps: maps?.entries,
    block_pairs: inputs.blockPairs?.output.pairs ?? undefined,
    fidelity:
      fidelity === undefined || Object.keys(fidelity.fidelity).length === 0 ? undefined : fidelity.fidelity,
    ...(transfer === undefined
      ? {}
      : {
          transfer: transfer.transfer,
          ...pick(transfer, ['strip_trigger', 'cost_kl']),
          worth: withRepair(transfer.worth, inputs.repair?.output),
        }),
    asked: inputs.repair?.output.asked ?? undefined,
    capabilities: capabilitiesOf(transfer?.capabilities, tasks),
    inverse: Object.keys(inverse).length === 0 ? undefined : inverse,
    pairing:
      maps === undefined
        ? undefined
        : pick(maps.pairing, ['coinciding', 'approximated', 'dropped', 'first', 'sinks']),
    draft_acceptance: defined({
      'sweep.source': sourceSweep?.draft_acceptance,
      'sweep.target': targetSweep?.draft_acceptance,
      ...transfer?.draft_acceptance,
    }),
    notes: [
      ...p.notes,
      ...(inputs.prompts?.output.notes ?? []),
      ...(sourceRuns?.notes ?? []),
      ...(targetRuns?.notes ?? []),
      ...(sourceSweep?.notes ?? []),
      ...(targetSweep?.notes ?? []),
      ...(transfer?.notes ?? []),
      ...ceilingNote(fidelity),
      ...cutNotes(tasks),
    ],
  };
  return checked({ schema_version: 1, behaviours: [entry], timings: {}, peak_memory_bytes: 0 })
    .behaviours[0] as BehaviourResults;
}

/** Rows of k with the fine-tune on the same prompts. */
function withRepair(
  worth: BehaviourResults['worth'] | readonly WorthRow[],
  repaired: RepairOutput | undefined,
): WorthRow[] | undefined {
  return worth?.map((row) => {
    const own = repaired?.rows.find(({ k }) => k === row.k);
    return own === undefined ? row : { ...row, repair_restoration: own.restoration, repair_kept: own.kept };
  });
}

/** Task → state → rate; a score of a harness's task is `task.score`. */
function capabilitiesOf(
  bundled: BehaviourResults['capabilities'],
  tasks: readonly CapabilitiesOutput[],
): BehaviourResults['capabilities'] {
  const found: NonNullable<BehaviourResults['capabilities']> = { ...bundled };
  for (const { task, state, rates } of tasks)
    for (const [score, rate] of Object.entries(rates))
      found[`${task}.${score}`] = { ...found[`${task}.${score}`], [state]: rate };
  return Object.keys(found).length === 0 ? undefined : found;
}

function cutNotes(tasks: readonly CapabilitiesOutput[]): string[] {
  return tasks.flatMap(({ task, state, cut }) =>
    cut === 0
      ? []
      : [
          `${task}, ${state}: ${cut} questions with their shots were longer than the context and lost their beginning.`,
        ],
  );
}

function ceilingNote(fidelity: FidelityOutput | undefined): string[] {
  const changed = fidelity?.ceiling_changed;
  if (changed === undefined) return [];
  return [
    `Ceiling: putting the target's own activations back changed ${Math.round(changed.value * changed.n)} of ${changed.n} completions (expected: 0).`,
  ];
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((k) => from[k] !== undefined).map((k) => [k, from[k]])) as Partial<
    Pick<T, K>
  >;
}

function checked(value: unknown): Results {
  const parsed = resultsSchema.safeParse(value);
  if (!parsed.success)
    throw new CrosspatchError(`results: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`, {
      id: 'internal',
    });
  return parsed.data;
}
