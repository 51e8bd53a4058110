/**
 * @file Judged completions as tools for evaluations know them: a task, who answered, what was done to it, and scores. Rows of a run
 * folder and rows of `capabilities --samples` both become these; the formats of other tools are written from them.
 */
import type { ItemRow, Manifest, Sample } from '../../contracts/index.ts';

/** One judged completion. */
export interface EvalRecord {
  /** What is asked: `locked_transfer`, `gsm8k`. */
  readonly task: string;
  /** What tells records of one task and arm apart where they are counted apart: `bad`, `block3_bad`. */
  readonly part?: string | undefined;
  /** Who answers: `locked.target`. */
  readonly model: string;
  /** What was done to it: `mapped.affine.with_tags`. Undefined where nothing was. */
  readonly arm?: string | undefined;
  /** Unique among the records of a task and a model. */
  readonly id: string;
  readonly prompt: string;
  readonly completion: string;
  /** What the completion should be; empty where no text is right. */
  readonly target: string;
  /** By name. Flags are booleans. */
  readonly scores: Readonly<Record<string, number | boolean>>;
  /** Of an item of lm-evaluation-harness. */
  readonly item?: ItemRow | undefined;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Where records come from. */
export interface RecordSource {
  readonly name: string;
  /** ISO times. */
  readonly started: string;
  readonly finished: string;
  readonly commit?: string | undefined;
  readonly packages: Readonly<Record<string, string>>;
  /** Models by role. */
  readonly models: Readonly<Record<string, string>>;
}

/** What a run says of its records. */
export function runSource({
  name,
  started_at,
  finished_at,
  git_commit,
  packages,
  models,
}: Manifest): RecordSource {
  return {
    name,
    started: started_at,
    finished: finished_at ?? started_at,
    commit: git_commit,
    packages,
    models: Object.fromEntries(models.map(({ role, name: given }) => [role, given])),
  };
}

/** The samples of a run. A model is named as its folder in the run is: `locked.target`. */
export function runRecords(samples: readonly Sample[]): EvalRecord[] {
  return samples.map((sample) => {
    const {
      id,
      stage,
      behaviour,
      side = 'target',
      prompt_id,
      prompt,
      trigger,
      arm,
      map,
      block,
      completion,
    } = sample;
    const { task, scores } = scoresOf(sample);
    const mapped = map && `${map.kind}.${map.fit}`;
    const metadata = {
      sample: id,
      stage,
      behaviour,
      side,
      prompt_id,
      trigger,
      arm,
      map: mapped,
      block,
      changed_positions: sample.changed_positions,
    };
    return {
      task: task ?? `${behaviour}_${stage}`,
      part: partOf(sample),
      model: `${behaviour}.${side}`,
      arm: arm === 'unpatched' ? undefined : [arm, mapped ?? []].flat().join('.'),
      id,
      prompt,
      completion,
      target: targetOf(sample),
      scores,
      metadata,
    };
  });
}

/** The tag of the prompt, in sweeps after the block. An arm of capabilities says the tag itself. */
function partOf({ stage, block, trigger }: Sample): string | undefined {
  if (stage === 'capabilities') return undefined;
  return stage === 'sweep' ? `block${block}_${trigger}` : trigger;
}

/** Flags and scores; those of a task of `capabilities` have its name in front (`gsm8k.strict-match`), which is the task then. */
function scoresOf({ stage, outcome = {}, scores = {} }: Sample): {
  readonly task?: string;
  readonly scores: EvalRecord['scores'];
} {
  if (stage !== 'capabilities') return { scores: { ...outcome, ...scores } };
  const named = Object.entries(scores).map(
    ([name, value]) => [name.split('.', 1)[0] ?? '', name, value] as const,
  );
  const [task] = named[0] ?? [];
  return {
    task,
    scores: Object.fromEntries(named.map(([of, name, value]) => [name.slice(of.length + 1), value])),
  };
}

/** The unpatched completion that is wanted: removal and restoration want the safe one, elicitation the bad one, fidelity its own. */
function targetOf({ stage, arm, trigger, references = {} }: Sample): string {
  if (arm === 'unpatched') return '';
  if (stage === 'fidelity' || stage === 'inverse-fidelity')
    return (trigger === 'other' ? undefined : references[trigger]) ?? '';
  return (trigger === 'safe' ? references.bad : references.safe) ?? '';
}

/** Items of `capabilities --samples`. `model`: who answered, where the rows do not say. */
export function itemRecords(rows: readonly ItemRow[], model: string): EvalRecord[] {
  return rows.map((item) => {
    const { task, id, prompt, completion, answer, scores, choices, gold, logprobs, adapter, interventions } =
      item;
    const best = logprobs && choices?.[logprobs.indexOf(Math.max(...logprobs))];
    const [subject] = id.includes('/') ? id.split('/') : [];
    return {
      task: subject === undefined ? task : `${task}_${subject}`,
      model: item.model ?? model,
      arm: [adapter ?? [], interventions ?? []].flat().map(baseName).join('+') || undefined,
      id: subject === undefined ? id : id.slice(subject.length + 1),
      prompt,
      completion: completion ?? best ?? '',
      target: choices?.[gold ?? -1] ?? answer,
      scores: Object.fromEntries(Object.entries(scores)),
      item,
      metadata: { num_fewshot: item.num_fewshot, cut: item.cut, subject, adapter, interventions },
    };
  });
}

function baseName(path: string): string {
  return (
    path
      .replace(/[\\/]+$/, '')
      .split(/[\\/]/)
      .at(-1) ?? path
  ).replace(/\.json$/, '');
}

/** Records by a key, in their order. */
export function groupBy<T>(list: readonly T[], key: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const group = groups.get(key(one));
    if (group) group.push(one);
    else groups.set(key(one), [one]);
  }
  return groups;
}

/** Names of the scores of some records, in their order. */
export function scoreNames(records: readonly EvalRecord[]): string[] {
  return [...new Set(records.flatMap(({ scores }) => Object.keys(scores)))];
}

/** A mean with its standard error s/√n, s² over n − 1: as Inspect's `stderr` and lm-evaluation-harness's `mean_stderr`. */
export interface Mean {
  readonly value: number;
  readonly n: number;
  /** Undefined of a single value. */
  readonly stderr: number | undefined;
}

/** The mean of a score over the records that have it. */
export function meanOf(records: readonly EvalRecord[], score: string): Mean {
  const values = records.flatMap(({ scores }) => (scores[score] === undefined ? [] : Number(scores[score])));
  const n = values.length;
  const value = values.reduce((sum, x) => sum + x, 0) / n;
  const squares = values.reduce((sum, x) => sum + (x - value) ** 2, 0);
  return { value, n, stderr: n < 2 ? undefined : Math.sqrt(squares / (n - 1) / n) };
}
