/** @file Stage `capabilities`: one task of lm-evaluation-harness in one state of the target. A stage each, so that a long run goes on where it stopped. */
import { z } from 'zod';
import { InputError } from '../../base/index.ts';
import { type AskedTask, askTask, readTaskItems, taskFiles } from '../../behaviours/index.ts';
import {
  CAPABILITY_TASKS,
  type CapabilitySettings,
  type CapabilityTask,
  COST_STATES,
  MAP_FITS,
  type Rate,
  type Recipe,
  type TaskScore,
} from '../../contracts/index.ts';
import { EMBEDDING, taskInState } from '../../evaluate/index.ts';
import { runningBytes } from '../estimates.ts';
import type { NodeRef, Plan } from '../plan.ts';
import { defineStage, optional, type SourceOutput, sourceFile, subjectModel } from '../stage.ts';
import { mapsStage } from './maps.ts';
import { askingParams } from './runs.ts';
import { writeSamples } from './samples.ts';
import { mapsIn } from './transfer.ts';

const capabilitiesParams = z.strictObject({
  ...askingParams.omit({ exact: true }).shape,
  task: z.enum(CAPABILITY_TASKS),
  state: z.enum(COST_STATES),
  items: z.int(),
  fewshot: z.int().optional(),
  /** Of a state with mapped activations. */
  map: z.strictObject({ label: z.string(), fit: z.enum(MAP_FITS) }).optional(),
});

/** Scores of a task in a state. */
export interface CapabilitiesOutput {
  readonly task: CapabilityTask;
  readonly state: (typeof COST_STATES)[number];
  readonly rates: Partial<Record<TaskScore, Rate>>;
  /** Items whose context was longer than the model's and lost its beginning. */
  readonly cut: number;
}

/** Tokens of a question of a task, about. */
const QUESTION_TOKENS = 120;
/** New tokens of a completion, about. */
const ANSWER_TOKENS = 150;

export const capabilitiesStage = defineStage({
  name: 'capabilities',
  version: '1',
  module: import.meta.url,
  child: true,
  params: capabilitiesParams,
  inputs: {
    target: subjectModel,
    /** For states with mapped activations. */
    source: optional(subjectModel),
    /** For states with changed activations. */
    maps: optional(mapsStage),
    rows: [sourceFile],
    /** Rows for shots alone; none = rows that are not scored. */
    shots: [sourceFile],
  },
  estimate: ({ task, items, fewshot = 0, map }, info) => ({
    tokens:
      items * ((fewshot + 1) * QUESTION_TOKENS * (map ? 2 : 1) + (task === 'gsm8k' ? ANSWER_TOKENS : 0)),
    memory_bytes: runningBytes(info.models.slice(0, map ? 2 : 1)),
  }),
  async run({ params: p, inputs, folder, model, ...env }): Promise<CapabilitiesOutput> {
    const { task, state, map } = p;
    const paths = (files: readonly { readonly folder: string }[]): string[] => files.map((f) => f.folder);
    const { items } = await asked(task, { rows: paths(inputs.rows), shots: paths(inputs.shots) }, p);
    const maps = inputs.maps;
    const mapped =
      map === undefined || maps === undefined
        ? undefined
        : {
            source: {
              model: await model('source'),
              block: map.fit === 'embedding_a' ? EMBEDDING : maps.output.source_block,
            },
            map: await mapsIn(maps).open(map.label, map.fit),
          };
    const { rates, samples, scored } = await taskInState(
      {
        ...p,
        items,
        target: { model: await model('target'), block: maps?.output.target_block ?? 0 },
        mapped,
      },
      env,
    );
    await writeSamples(folder, samples);
    return { task, state, rates, cut: scored.filter(({ cut }) => cut).length };
  },
});

/** Files of a task's rows. */
interface TaskFiles {
  readonly rows: readonly string[];
  readonly shots: readonly string[];
}

async function asked(
  task: CapabilityTask,
  { rows, shots }: TaskFiles,
  { items: limit, fewshot }: Pick<CapabilitySettings, 'items' | 'fewshot'>,
): Promise<AskedTask> {
  const own = shots.length === 0 ? undefined : await readTaskItems(task, shots);
  return askTask(task, await readTaskItems(task, rows), own, { limit, fewshot });
}

/** A task of a recipe with its files in the plan. */
export interface PlannedTask {
  readonly task: CapabilityTask;
  readonly rows: readonly NodeRef<SourceOutput>[];
  readonly shots: readonly NodeRef<SourceOutput>[];
  /** Before every question. */
  readonly fewshot: number;
  /** What the report must say. */
  readonly notes: readonly string[];
}

/** The harness's tasks of a recipe, their rows read and checked before anything runs. */
export async function planTasks({ capabilities }: Recipe, plan: Plan): Promise<PlannedTask[]> {
  if (!capabilities) return [];
  const planned: PlannedTask[] = [];
  for (const task of CAPABILITY_TASKS.filter((one) => capabilities.tasks.includes(one))) {
    const files = await filesOf(task, capabilities);
    const { items, shots } = await asked(task, files, capabilities);
    const sources = (kind: 'rows' | 'shots'): Promise<NodeRef<SourceOutput>[]> =>
      Promise.all(
        files[kind].map((file, i) =>
          plan.source(`data.${kind === 'rows' ? 'tasks' : 'shots'}.${task}.${i}`, file, {
            data: { name: file },
          }),
        ),
      );
    const of = shots.from === 'own' ? 'of a file of their own' : 'of the same file that are not scored';
    planned.push({
      task,
      rows: await sources('rows'),
      shots: await sources('shots'),
      fewshot: shots.n,
      notes:
        shots.n === 0
          ? []
          : [`${task}: ${items.length} items, before each ${shots.n} shots from ${shots.rows} rows ${of}.`],
    });
  }
  return planned;
}

async function filesOf(task: CapabilityTask, { data, shots }: CapabilitySettings): Promise<TaskFiles> {
  const path = data[task];
  if (path === undefined)
    throw new InputError(`recipe: capabilities.data.${task}: missing`, { id: 'recipe-invalid' });
  const found = await taskFiles(task, path);
  const given = shots[task];
  if (given === undefined) return { rows: found.scored, shots: found.shots ?? [] };
  const own = await taskFiles(task, given);
  return { rows: found.scored, shots: own.shots ?? own.scored };
}
