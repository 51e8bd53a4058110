/** @file Stage `results`: put what the stages found together as results.json, checked against its contract. */

import { z } from 'zod';
import { CrosspatchError, defined } from '../../base/index.ts';
import {
  type BehaviourResults,
  behaviourParams,
  type Results,
  resultsSchema,
} from '../../contracts/index.ts';
import { inverseEntry } from '../../evaluate/index.ts';
import { defineStage, type InputsSoFar, type StageContext } from '../stage.ts';
import type { FidelityOutput } from './fidelity.ts';
import type { FinetuneOutput } from './finetune.ts';
import type { MapsOutput } from './maps.ts';
import type { RunsOutput } from './runs.ts';
import type { SweepOutput } from './sweep.ts';
import type { TransferOutput } from './transfer.ts';

const resultsParams = z.strictObject({
  behaviour: behaviourParams,
  source: z.string(),
  target: z.string(),
  after: z.int(),
  train_blocks: z.record(z.string(), z.unknown()),
  notes: z.array(z.string()),
});

interface Inputs {
  tuned: FinetuneOutput[];
  runs: RunsOutput[];
  sweeps: SweepOutput[];
  maps: MapsOutput;
  transfer?: TransferOutput;
  fidelity?: FidelityOutput;
}

/** One entry of `results.behaviours`. Lists hold source, then target. */
export const behaviourResultsStage = defineStage({
  name: 'behaviour-results',
  version: '1',
  module: import.meta.url,
  params: resultsParams,
  async run({
    params,
    inputs,
  }: StageContext<z.output<typeof resultsParams>, Inputs>): Promise<BehaviourResults> {
    return assemble(params, inputs);
  },
  preview: assemble,
});

/** The whole of results.json, timings aside (the runner adds them). */
export const resultsStage = defineStage({
  name: 'results',
  version: '1',
  module: import.meta.url,
  params: z.strictObject({}),
  async run({
    inputs,
  }: StageContext<Record<never, never>, { behaviours: BehaviourResults[] }>): Promise<
    Omit<Results, 'timings' | 'peak_memory_bytes'>
  > {
    return { schema_version: 1, behaviours: inputs.behaviours.map((b) => b.output) };
  },
  preview: (_, { behaviours = [] }) => ({
    schema_version: 1,
    behaviours: behaviours.flatMap((b) => (b === undefined ? [] : [b.output])),
  }),
});

/** One entry of `results.behaviours` from what there is. */
function assemble(p: z.output<typeof resultsParams>, inputs: InputsSoFar<Inputs>): BehaviourResults {
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
    ...(fidelity === undefined || Object.keys(fidelity.fidelity).length === 0
      ? {}
      : { fidelity: fidelity.fidelity }),
    ...(transfer === undefined
      ? {}
      : {
          transfer: transfer.transfer,
          ...pick(transfer, ['strip_trigger', 'worth', 'capabilities', 'cost_kl']),
        }),
    ...(Object.keys(inverse).length === 0 ? {} : { inverse }),
    ...(maps === undefined
      ? {}
      : { pairing: pick(maps.pairing, ['coinciding', 'approximated', 'dropped', 'first', 'sinks']) }),
    draft_acceptance: defined({
      'sweep.source': sourceSweep?.draft_acceptance,
      'sweep.target': targetSweep?.draft_acceptance,
      ...transfer?.draft_acceptance,
    }),
    notes: [
      ...p.notes,
      ...(sourceSweep?.notes ?? []),
      ...(targetSweep?.notes ?? []),
      ...ceilingNote(fidelity),
    ],
  };
  return checked({ schema_version: 1, behaviours: [entry], timings: {}, peak_memory_bytes: 0 })
    .behaviours[0] as BehaviourResults;
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
    throw new CrosspatchError(`results: ${z.prettifyError(parsed.error).replace(/\s*\n\s*/g, ' ')}`);
  return parsed.data;
}
