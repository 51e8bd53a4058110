/**
 * @file Logs of Inspect AI in its JSON format, version 2 (`inspect_ai/log/_log.py`, `EvalLog`): one log per task and model. Sample ids are
 * unique in a log, so every arm is one of its samples (epoch 1), named in its metadata; metrics are means by arm.
 */
import { createHash } from 'node:crypto';
import { type EvalRecord, groupBy, meanOf, type RecordSource, scoreNames } from './record.ts';

type Json = Readonly<Record<string, unknown>>;

/** File name → log. Names are those that Inspect gives: time, task, id. */
export function inspectLogs(records: readonly EvalRecord[], source: RecordSource): Map<string, Json> {
  const logs = new Map<string, Json>();
  for (const own of groupBy(records, ({ task, model }) => `${task}\n${model}`).values()) {
    const [{ task, model }] = own as [EvalRecord];
    const id = idOf(source.name, source.started, task, model);
    const time = utc(source.started).replaceAll(':', '-');
    logs.set(`${time}_${task.replaceAll('_', '-')}_${id}.json`, logOf(own, { id, source }));
  }
  return logs;
}

function logOf(
  records: readonly EvalRecord[],
  { id, source }: { readonly id: string; readonly source: RecordSource },
): Json {
  const [{ task, model, item }] = records as [EvalRecord, ...EvalRecord[]];
  const { name, commit, packages, models } = source;
  const [started, completed] = [utc(source.started), utc(source.finished)];
  const ids = records.map(sampleId);
  return {
    version: 2,
    status: 'success',
    eval: {
      eval_id: idOf(id, 'eval'),
      run_id: idOf(name, source.started),
      created: started,
      task,
      task_id: id,
      task_version: 0,
      task_attribs: {},
      task_args: {},
      task_args_passed: {},
      tags: ['crosspatch'],
      dataset: {
        name: item === undefined ? name : task,
        samples: ids.length,
        sample_ids: ids,
        shuffled: false,
      },
      model: `crosspatch/${model}`,
      model_generate_config: { temperature: 0 },
      model_args: models,
      config: { epochs: 1, epochs_reducer: ['mean'] },
      revision: commit === undefined ? undefined : { type: 'git', origin: '', commit },
      packages,
      metadata: { run: name, made_by: 'crosspatch' },
      scorers: scoreNames(records).map((score) => ({ name: score })),
    },
    plan: {
      name: 'plan',
      steps: [{ solver: 'crosspatch', params: {}, params_passed: {} }],
      config: { temperature: 0 },
    },
    results: {
      total_samples: records.length,
      completed_samples: records.length,
      scores: scoreNames(records).map((score) => scoreOf(score, records)),
    },
    stats: { started_at: started, completed_at: completed, model_usage: {}, role_usage: {} },
    samples: records.map(sampleOf),
  };
}

/** A score with its means by arm; the arms are named as lm-evaluation-harness files name them, parts after them. */
function scoreOf(score: string, records: readonly EvalRecord[]): Json {
  const scored = records.filter(({ scores }) => scores[score] !== undefined);
  const metrics = [...groupBy(scored, armOf)].map(([arm, own]) => {
    const { value, n, stderr } = meanOf(own, score);
    return [arm, { name: arm, value, params: {}, metadata: { n, stderr } }] as const;
  });
  return {
    name: score,
    scorer: score,
    reducer: 'mean',
    scored_samples: scored.length,
    unscored_samples: records.length - scored.length,
    params: {},
    metrics: Object.fromEntries(metrics),
  };
}

/** Where nothing was done and nothing is counted apart, the mean is only that. */
function armOf({ arm, part }: EvalRecord): string {
  return arm === undefined && part === undefined
    ? 'mean'
    : [arm ?? 'unpatched', part?.replaceAll('_', ' ') ?? []].flat().join(' ');
}

function sampleOf(record: EvalRecord): Json {
  const { prompt, completion, target, scores, model, arm, part, item, metadata } = record;
  const choices = item?.choices;
  const answer = { role: 'assistant', content: completion, source: 'generate' };
  return {
    id: sampleId(record),
    epoch: 1,
    input: prompt,
    choices,
    target: choices === undefined ? target : letter(item?.gold),
    messages: [{ role: 'user', content: prompt, source: 'input' }, answer],
    output: {
      model: `crosspatch/${model}`,
      choices: [{ message: answer, stop_reason: 'unknown' }],
      completion,
    },
    scores: Object.fromEntries(
      Object.entries(scores).map(([name, value]) => [
        name,
        { value, answer: answerOf(record, name), metadata: logprobsOf(record) },
      ]),
    ),
    metadata: { ...metadata, arm: arm ?? metadata.arm ?? 'unpatched', part },
    store: {},
    events: [],
    model_usage: {},
    role_usage: {},
    attachments: {},
  };
}

/** What was read as the answer: the completion, the number found in one, the letter of a choice. */
function answerOf({ item, completion }: EvalRecord, score: string): string | undefined {
  if (item === undefined) return completion;
  if (item.choices !== undefined) return letter(item.choices.indexOf(completion));
  return item.extracted?.[score];
}

function logprobsOf({ item }: EvalRecord): Json | undefined {
  return item?.logprobs && { logprobs: item.logprobs };
}

function sampleId({ id, arm, item }: EvalRecord): string {
  return item === undefined || arm === undefined ? id : `${id}/${arm}`;
}

/** Inspect's target of a choice. */
function letter(index: number | undefined): string {
  return index === undefined || index < 0 ? '' : String.fromCharCode(65 + index);
}

/** The same id for the same thing, of the length of Inspect's. */
function idOf(...of: readonly string[]): string {
  return createHash('sha256').update(of.join('\n')).digest('base64url').replaceAll(/[-_]/g, '0').slice(0, 22);
}

/** As Python writes a time in UTC, to the second. */
function utc(iso: string): string {
  return `${new Date(iso).toISOString().slice(0, 19)}+00:00`;
}
