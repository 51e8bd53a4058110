/** @file Stage `capabilities`: one task of lm-evaluation-harness in one state of the target. A stage each, so that a long run goes on where it stopped. */
import { z } from 'zod';
import { readTask, shotsNote, taskFiles } from '../../behaviours/index.ts';
import {
  CAPABILITY_TASKS,
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
import { mapsIn } from './transfer-setup.ts';

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
    const files = {
      scored: paths(inputs.rows),
      shots: inputs.shots.length === 0 ? undefined : paths(inputs.shots),
    };
    const { items } = await readTask(task, files, { limit: p.items, fewshot: p.fewshot });
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
  const { data, shots, items: limit, fewshot } = capabilities;
  for (const task of CAPABILITY_TASKS) {
    const path = data[task];
    if (path === undefined) continue;
    const files = await taskFiles(task, path, shots[task]);
    const asked = await readTask(task, files, { limit, fewshot });
    const note = shotsNote(asked);
    planned.push({
      task,
      rows: await sources(plan, `data.tasks.${task}`, files.scored),
      shots: await sources(plan, `data.shots.${task}`, files.shots ?? []),
      fewshot: asked.shots.n,
      notes: note === '' ? [] : [`${note}.`],
    });
  }
  return planned;
}

function sources(plan: Plan, id: string, files: readonly string[]): Promise<NodeRef<SourceOutput>[]> {
  return Promise.all(files.map((file, i) => plan.source(`${id}.${i}`, file, { data: { name: file } })));
}
