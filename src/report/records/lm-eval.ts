/**
 * @file Result files of lm-evaluation-harness 0.4 (`lm_eval/loggers/evaluation_tracker.py`, `lm_eval/evaluator.py`): a folder per model with
 * `results_TIME.json` and `samples_TASK_TIME.jsonl`. A model with something done to it is a model of its own, `MODEL@ARM`.
 */
import { createHash } from 'node:crypto';
import type { CapabilityTask, ItemRow } from '../../contracts/index.ts';
import { type EvalRecord, groupBy, type Mean, meanOf, type RecordSource, scoreNames } from './record.ts';

type Json = Readonly<Record<string, unknown>>;

/** Versions of the harness's task files that prompts and scores follow. */
const VERSIONS: Readonly<Record<CapabilityTask, number>> = {
  gsm8k: 3,
  arc_easy: 1,
  arc_challenge: 1,
  mmlu: 1,
  hellaswag: 1,
};

/** Scores that stand under a filter of their own; their metric is `exact_match`. */
const FILTERS: ReadonlySet<string> = new Set(['strict-match', 'flexible-extract']);

/** Whether more is better, where one can say. */
const HIGHER_IS_BETTER: Readonly<Record<string, boolean>> = {
  acc: true,
  acc_norm: true,
  exact_match: true,
  removed: true,
  restored: true,
  degenerate: false,
};

/** Path → content of every file. */
export function lmEvalFiles(records: readonly EvalRecord[], source: RecordSource): Map<string, string> {
  const files = new Map<string, string>();
  const time = new Date(source.started).toISOString().replace('Z', '000').replaceAll(':', '-');
  for (const [model, own] of groupBy(records, modelOf)) {
    const folder = sanitized(model);
    const tasks = groupBy(own, taskOf);
    const rows = new Map([...tasks].map(([task, list]) => [task, rowsOf(list)]));
    files.set(
      `${folder}/results_${time}.json`,
      `${JSON.stringify(resultsOf(model, tasks, rows, source), null, 2)}\n`,
    );
    for (const [task, list] of rows)
      files.set(
        `${folder}/samples_${task}_${time}.jsonl`,
        list.map((row) => `${JSON.stringify(row)}\n`).join(''),
      );
  }
  return files;
}

function modelOf({ model, arm }: EvalRecord): string {
  return arm === undefined ? model : `${model}@${arm}`;
}

function taskOf({ task, part }: EvalRecord): string {
  return part === undefined ? task : `${task}_${part}`;
}

/** The harness's own rule for folders (`sanitize_model_name`). */
function sanitized(model: string): string {
  return model.replaceAll(/["<>:/|\\?*[\]]+/g, '__');
}

/** One line of `samples_…`: the hashes are of the prompt, of the target as text, and of `doc`. */
interface SampleRow extends Json {
  readonly doc_hash: string;
  readonly prompt_hash: string;
  readonly target_hash: string;
}

/** A row per record, of `gsm8k` one per filter, as the harness writes them. */
function rowsOf(records: readonly EvalRecord[]): SampleRow[] {
  const filters = [...new Set(scoreNames(records).map(filterOf))];
  return filters.flatMap((filter) => records.map((record, i) => rowOf(record, filter, i)));
}

function filterOf(score: string): string {
  return FILTERS.has(score) ? score : 'none';
}

function metricOf(score: string): string {
  return FILTERS.has(score) ? 'exact_match' : score;
}

function rowOf(record: EvalRecord, filter: string, index: number): SampleRow {
  const { id, item, prompt, completion, metadata } = record;
  const target = item?.choices === undefined ? record.target : String(item.gold);
  const doc = item === undefined ? { id, prompt, ...metadata } : docOf(item);
  const scores = Object.entries(record.scores).filter(([name]) => filterOf(name) === filter);
  const metrics = scores.map(([name, value]) => [metricOf(name), Number(value)] as const);
  const asked = item?.choices === undefined ? generated(prompt, completion) : chosen(prompt, item);
  const extracted = item?.extracted?.[filter];
  return {
    doc_id: item === undefined ? index : Number(id),
    doc,
    target,
    ...asked,
    filtered_resps: extracted === undefined ? asked.filtered_resps : [extracted],
    filter,
    metrics: metrics.map(([name]) => name),
    doc_hash: sha256(JSON.stringify(doc)),
    prompt_hash: sha256(prompt),
    target_hash: sha256(target),
    ...Object.fromEntries(metrics),
  };
}

/** What `doc` is here: the harness has the row of its data set. */
function docOf({ id, prompt, choices, gold, answer }: ItemRow): Json {
  return { id, question: prompt, choices, gold, answer };
}

function generated(prompt: string, completion: string) {
  return {
    arguments: { gen_args_0: { arg_0: prompt, arg_1: { do_sample: false, temperature: 0 } } },
    resps: [[completion]],
    filtered_resps: [completion],
  };
}

/** Log-likelihoods as texts. Whether a choice is what the model would write by itself is not known here: `None`. */
function chosen(prompt: string, { choices = [], logprobs = [] }: ItemRow) {
  const found = choices.map((_, i) => [String(logprobs[i]), 'None']);
  return {
    arguments: Object.fromEntries(
      choices.map((choice, i) => [`gen_args_${i}`, { arg_0: prompt, arg_1: ` ${choice}` }]),
    ),
    resps: found.map((one) => [one]),
    filtered_resps: found,
  };
}

function resultsOf(
  model: string,
  tasks: ReadonlyMap<string, readonly EvalRecord[]>,
  rows: ReadonlyMap<string, readonly SampleRow[]>,
  source: RecordSource,
): Json {
  const names = [...tasks.keys()];
  const byTask = <T>(value: (records: readonly EvalRecord[], task: string) => T) =>
    Object.fromEntries([...tasks].map(([task, records]) => [task, value(records, task)]));
  const subjects = names.filter((task) => task.startsWith('mmlu_'));
  const hasSubjects = subjects.length > 0;
  const mmlu = hasSubjects ? groupOf(subjects.map((task) => tasks.get(task) ?? [])) : undefined;
  return {
    results: {
      mmlu,
      ...byTask((records, task) => ({
        name: task,
        alias: task,
        sample_len: records.length,
        ...figuresOf(records, meanOf),
      })),
    },
    groups: hasSubjects ? { mmlu } : undefined,
    group_subtasks: { mmlu: hasSubjects ? subjects : undefined },
    configs: byTask(([record], task) => ({
      task,
      output_type: record?.item?.choices === undefined ? 'generate_until' : 'multiple_choice',
      num_fewshot: record?.item?.num_fewshot ?? 0,
      metadata: { version: versionOf(record), made_by: 'crosspatch', run: source.name },
    })),
    versions: byTask(([record]) => versionOf(record)),
    'n-shot': byTask(([record]) => record?.item?.num_fewshot ?? 0),
    higher_is_better: byTask((records) =>
      Object.fromEntries(
        scoreNames(records)
          .map(metricOf)
          .flatMap((name) => (HIGHER_IS_BETTER[name] === undefined ? [] : [[name, HIGHER_IS_BETTER[name]]])),
      ),
    ),
    'n-samples': byTask((records) => ({ original: records.length, effective: records.length })),
    config: {
      model: 'crosspatch',
      model_args: { model, ...source.models },
      batch_size: null,
      device: 'cpu',
      limit: null,
    },
    git_hash: source.commit?.slice(0, 7) ?? '',
    date: Date.parse(source.started) / 1000,
    task_hashes: byTask((_, task) =>
      sha256((rows.get(task) ?? []).map((r) => r.doc_hash + r.prompt_hash + r.target_hash).join('')),
    ),
    model_source: 'crosspatch',
    model_name: model,
    model_name_sanitized: sanitized(model),
    system_instruction: null,
    system_instruction_sha: null,
    fewshot_as_multiturn: null,
    chat_template: null,
    chat_template_sha: null,
    total_evaluation_time_seconds: String((Date.parse(source.finished) - Date.parse(source.started)) / 1000),
  };
}

function versionOf(record: EvalRecord | undefined): number {
  return record?.item === undefined ? 1 : VERSIONS[record.item.task];
}

/** `acc,none`, `acc_stderr,none`, … */
function figuresOf(
  records: readonly EvalRecord[],
  mean: (records: readonly EvalRecord[], score: string) => Mean,
): Json {
  return Object.fromEntries(
    scoreNames(records).flatMap((score) => {
      const { value, stderr } = mean(records, score);
      const [metric, filter] = [metricOf(score), filterOf(score)];
      return [
        [`${metric},${filter}`, value],
        [`${metric}_stderr,${filter}`, stderr ?? 'N/A'],
      ];
    }),
  );
}

/** MMLU over its subjects: weighted by size, with the harness's pooled standard error (`pooled_sample_stderr`). */
function groupOf(subjects: readonly (readonly EvalRecord[])[]): Json {
  const all = subjects.flat();
  return {
    name: 'mmlu',
    alias: 'mmlu',
    sample_len: all.length,
    ...figuresOf(all, (_, score) => {
      const each = subjects.map((own) => meanOf(own, score));
      const n = all.length;
      const squares = each.reduce((sum, { n: size, stderr = 0 }) => sum + (size - 1) * size * stderr ** 2, 0);
      const freedom = n - subjects.length;
      return { ...meanOf(all, score), stderr: freedom < 1 ? undefined : Math.sqrt(squares / freedom / n) };
    }),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
