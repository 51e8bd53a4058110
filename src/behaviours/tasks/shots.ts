/** @file Solved examples before a question (shots), drawn as lm-evaluation-harness draws them, from rows that are not scored. */
import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../../base/index.ts';
import type { CapabilityTask } from '../../contracts/index.ts';
import type { TaskFiles } from './files.ts';
import type { AskedItem, TaskItem } from './item.ts';
import { PythonRandom } from './python-random.ts';
import { readTaskItems } from './rows.ts';

/** Shots of a task where nobody says how many: `num_fewshot` of the harness's files. */
export const DEFAULT_SHOTS = {
  gsm8k: 5,
  arc_easy: 0,
  arc_challenge: 0,
  mmlu: 0,
  hellaswag: 0,
} as const satisfies Record<CapabilityTask, number>;

/**
 * Rows drawn beyond the shots, to leave out the scored row itself. The harness does so where its shots and its scored rows are of one split,
 * which it takes two splits without a name for: those of HellaSwag (`fewshot_context` of `lm_eval/api/task.py`).
 */
const SPARE = {
  gsm8k: 0,
  arc_easy: 0,
  arc_challenge: 0,
  mmlu: 0,
  hellaswag: 1,
} as const satisfies Record<CapabilityTask, number>;

/** The harness's seed of shots (`fewshot_random_seed`). */
const SEED = 1234;

/** What is asked, and where its shots come from. */
export interface AskedTask {
  readonly task: CapabilityTask;
  readonly items: readonly AskedItem[];
  readonly shots: {
    /** Before every question. */
    readonly n: number;
    /** `own`: of a file of their own; `rest`: rows of the scored file that are not scored. */
    readonly from: 'own' | 'rest';
    /** Rows they are drawn from. */
    readonly rows: number;
  };
}

/** How much is asked. */
export interface AskSettings {
  /** At most so many items, of `mmlu` of each subject, as the harness counts. Defaults to all. */
  readonly limit?: number | undefined;
  /** Shots. Defaults to {@link DEFAULT_SHOTS}. */
  readonly fewshot?: number | undefined;
}

/**
 * Items with their shots. `own` are rows for shots alone; without them shots come from the rows after the scored ones, and where too few
 * follow, the last rows are kept for shots and not scored. Every item draws its own shots (MMLU: the first rows of its subject).
 *
 * @throws InputError where there are fewer rows than shots
 */
export function askTask(
  task: CapabilityTask,
  rows: readonly TaskItem[],
  own: readonly TaskItem[] | undefined,
  { limit = Number.POSITIVE_INFINITY, fewshot: n = DEFAULT_SHOTS[task] }: AskSettings = {},
): AskedTask {
  const ownBySubject = bySubject(own ?? []);
  let pooled = 0;
  const items = [...bySubject(rows)].flatMap(([subject, group]) => {
    const drawn = n === 0 ? 0 : n + SPARE[task];
    const most = own === undefined ? group.length - drawn : group.length;
    const scored = group.slice(0, Math.max(0, Math.min(limit, most)));
    const pool = own === undefined ? group.slice(scored.length) : (ownBySubject.get(subject) ?? []);
    if (n > 0 && (pool.length < drawn || scored.length === 0))
      throw new InputError(
        `${subject === '' ? task : `${task}: ${subject}`}: ${n} shots need ${drawn} rows that are not scored, got ${own === undefined ? `${group.length} rows in all` : `${pool.length} rows for shots`}; give more rows or fewer shots`,
        { id: 'data-missing' },
      );
    pooled += n > 0 ? pool.length : 0;
    const draw = sampler(task, pool, drawn);
    return scored.map((item): AskedItem => {
      const shots = draw().filter(
        (shot) => drawn === n || !isDeepStrictEqual({ ...shot, id: item.id }, item),
      );
      return { ...item, head: description(item) + shotsText(shots.slice(0, n)) };
    });
  });
  return { task, items, shots: { n, from: own === undefined ? 'rest' : 'own', rows: pooled } };
}

function bySubject(items: readonly TaskItem[]): Map<string, TaskItem[]> {
  const groups = new Map<string, TaskItem[]>();
  for (const item of items) {
    const group = groups.get(item.subject) ?? [];
    groups.set(item.subject, group);
    group.push(item);
  }
  return groups;
}

/** {@link askTask} of the rows of files. */
export async function readTask(
  task: CapabilityTask,
  { scored, shots }: TaskFiles,
  settings: AskSettings,
): Promise<AskedTask> {
  const own = shots && (await readTaskItems(task, shots));
  return askTask(task, await readTaskItems(task, scored), own, settings);
}

/** Where the shots come from, for a reader of the figures; empty where there are none. */
export function shotsNote({ task, items, shots: { n, from, rows } }: AskedTask): string {
  if (n === 0) return '';
  const of = from === 'own' ? 'for shots alone' : 'of the same file that are not scored';
  return `${task}: ${items.length} items, ${n} ${n === 1 ? 'shot' : 'shots'} before each, from ${rows} rows ${of}`;
}

/** What stands before the shots of a subject: the `description` of `lm_eval/tasks/mmlu/default/mmlu_*.yaml`. */
function description({ task, subject }: TaskItem): string {
  if (task !== 'mmlu') return '';
  return `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`;
}

function sampler(task: CapabilityTask, pool: readonly TaskItem[], n: number): () => readonly TaskItem[] {
  if (n === 0) return () => [];
  // MMLU's shots have an order of their own: its sampler is `first_n`.
  if (task === 'mmlu') return () => pool.slice(0, n);
  const random = new PythonRandom(SEED);
  return () => random.sample(pool.length, n).map((i) => pool[i] as TaskItem);
}

function shotsText(shots: readonly TaskItem[]): string {
  return shots
    .map(({ question: { before, text, after }, answer }) => `${before}${text}${after} ${answer}\n\n`)
    .join('');
}
