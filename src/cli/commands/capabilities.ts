/** @file `capabilities`: a model's scores on lm-evaluation-harness's tasks, as it is or steered. */
import { type Command, Option } from 'commander';
import { InputError, writeFileAtomic } from '../../base/index.ts';
import { type AskedTask, contextOf, readTask, shotsNote, taskFiles } from '../../behaviours/index.ts';
import {
  CAPABILITY_TASKS,
  type CapabilityTask,
  type ItemRow,
  type TaskScore,
} from '../../contracts/index.ts';
import { askItems, type ScoredItem, taskRates } from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { Estimate } from '../../stats/index.ts';
import { type Cli, type CommonOptions, collect, declare, wholeNumber } from '../cli.ts';
import { addRequire, printFigures, type RequireOption } from '../figures.ts';
import { openAdapted, weightsOption, withProgress } from '../model.ts';
import { refuseForeignOutputs } from '../out-files.ts';
import { steer } from '../steer.ts';
import { figure, jsonLines, textTable } from '../table.ts';

interface CapabilitiesCommand extends CommonOptions, RequireOption {
  readonly model: string;
  readonly adapter?: string;
  readonly data: readonly string[];
  readonly shots?: readonly string[];
  readonly limit?: number;
  readonly numFewshot?: number;
  readonly intervention?: readonly string[];
  readonly samples?: string;
}

export function addCapabilities(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'capabilities',
    `Ask a model the tasks of lm-evaluation-harness, with its prompts and scores: ${CAPABILITY_TASKS.join(', ')}.`,
    `!echo '{"question":"Which is a fruit?","choices":{"text":["a pear","a stone"],"label":["A","B"]},"answerKey":"A"}' > rows.jsonl`,
    'capabilities --model tiny-qwen --data arc_easy=rows.jsonl',
  );
  addRequire(command)
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--adapter <folder>', 'PEFT adapter to put on the model')
    .requiredOption(
      '--data <task=path>',
      "a task and its rows in the hub's layout: a JSONL (.gz), JSON or Parquet file, or a folder of the hub's data set; may be repeated",
      collect,
    )
    .option(
      '--shots <task=path>',
      'rows for shots (solved examples before the question); without them, and without a folder that has some, rows of --data that are not scored; may be repeated',
      collect,
    )
    .addOption(
      new Option('--limit <n>', 'at most n items of a task, of mmlu of each subject').argParser(
        wholeNumber('--limit', 1),
      ),
    )
    .addOption(
      new Option(
        '--num-fewshot <k>',
        "shots before every question; the harness's number by default",
      ).argParser(wholeNumber('--num-fewshot', 0)),
    )
    .option(
      '--intervention <file>',
      'intervention document (JSON) that changes activations; may be repeated',
      collect,
    )
    .option('--samples <file>', 'write every item with its answer and scores here, as JSONL')
    .action((options: CapabilitiesCommand) => capabilities(options, cli));
}

async function capabilities(options: CapabilitiesCommand, cli: Cli): Promise<void> {
  const data = taskPaths('--data', options.data);
  const shots = taskPaths('--shots', options.shots ?? []);
  await refuseForeignOutputs({ samples: options.samples }, '', [
    options.model,
    options.adapter,
    ...data.values(),
    ...shots.values(),
    ...(options.intervention ?? []),
  ]);
  for (const task of shots.keys())
    if (!data.has(task))
      throw new InputError(`--shots ${task}: no rows of this task are asked; add --data ${task}=PATH`, {
        id: 'option-conflict',
      });
  const asked: AskedTask[] = [];
  const { limit, numFewshot: fewshot } = options;
  for (const [task, path] of data)
    asked.push(await readTask(task, await taskFiles(task, path, shots.get(task)), { limit, fewshot }));
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  const answered: Answered[] = [];
  for (const of of asked) answered.push({ asked: of, scored: await answer(opened.model, of, options, cli) });
  if (options.samples !== undefined)
    await writeFileAtomic(options.samples, jsonLines(answered.flatMap((one) => rowsOf(one, options))));
  const document = {
    model: options.model,
    adapter: options.adapter,
    interventions: options.intervention,
    tasks: Object.fromEntries(answered.map((one) => [one.asked.task, entryOf(one)])),
  };
  printFigures(cli, options, document, () => textOf(answered));
}

/** A task and what the model made of it. */
interface Answered {
  readonly asked: AskedTask;
  readonly scored: readonly ScoredItem[];
}

/** `task=path` of an option. */
function taskPaths(flag: string, pairs: readonly string[]): Map<CapabilityTask, string> {
  const paths = new Map<CapabilityTask, string>();
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, Math.max(0, at));
    const path = pair.slice(at + 1);
    const task = CAPABILITY_TASKS.find((known) => known === name);
    if (task === undefined || path === '')
      throw new InputError(
        `${flag} ${pair}: wanted task=path with one of ${CAPABILITY_TASKS.join(', ')}, e.g. gsm8k=test.jsonl`,
        { id: 'option-invalid' },
      );
    if (paths.has(task))
      throw new InputError(`${flag} ${pair}: ${task} was given before`, { id: 'option-conflict' });
    paths.set(task, path);
  }
  return paths;
}

function answer(
  model: LanguageModel,
  { items }: AskedTask,
  options: CapabilitiesCommand,
  cli: Cli,
): Promise<ScoredItem[]> {
  const files = options.intervention ?? [];
  return withProgress(cli, options, (progress) =>
    askItems(model, items, {
      progress,
      signal: cli.signal,
      steer:
        files.length === 0
          ? undefined
          : async ({ texts }) => {
              const steering = await steer(model, { files, prompts: texts }, cli, options);
              return {
                hooks: steering.fwdHooks,
                done: async () => {
                  await using used = steering;
                  await used.effects({ kl: false });
                },
              };
            },
    }),
  );
}

/** What results say of a task. */
function entryOf({ asked: { task, shots }, scored }: Answered): Record<string, unknown> {
  const cut = scored.filter((s) => s.cut).length;
  return {
    ...named(taskRates(task, scored)),
    num_fewshot: shots.n,
    shots: shots.n === 0 ? undefined : { from: shots.from, rows: shots.rows },
    cut,
    subjects: task === 'mmlu' ? bySubject(scored) : undefined,
  };
}

/** Scores under the harness's names: those of filters below `exact_match`. */
function named({ acc, acc_norm, ...filters }: Partial<Record<TaskScore, Estimate>>): Record<string, unknown> {
  return { acc, acc_norm, exact_match: Object.keys(filters).length === 0 ? undefined : filters };
}

function bySubject(scored: readonly ScoredItem[]): Record<string, Estimate | undefined> {
  const subjects = [...new Set(scored.map(({ item }) => item.subject))];
  return Object.fromEntries(
    subjects.map((subject) => [
      subject,
      taskRates(
        'mmlu',
        scored.filter(({ item }) => item.subject === subject),
      ).acc,
    ]),
  );
}

function rowsOf({ asked: { shots }, scored }: Answered, options: CapabilitiesCommand): ItemRow[] {
  const { model, adapter, intervention: interventions } = options;
  return scored.map(({ item, logprobs, scores, ...answer }) => ({
    task: item.task,
    id: item.id,
    model,
    adapter,
    interventions: interventions && [...interventions],
    num_fewshot: shots.n,
    prompt: contextOf(item),
    choices: item.choices.length === 0 ? undefined : [...item.choices],
    gold: item.choices.length === 0 ? undefined : item.gold,
    logprobs: logprobs && [...logprobs],
    answer: item.answer,
    scores,
    ...answer,
  }));
}

function textOf(answered: readonly Answered[]): string {
  const rows = answered.flatMap(({ asked: { task, shots }, scored }) =>
    Object.entries(taskRates(task, scored)).map(([score, { value, n, ci95 }]) => [
      task,
      score.includes('-') ? `exact_match, ${score}` : score,
      figure(value),
      String(n),
      `[${figure(ci95[0])}, ${figure(ci95[1])}]`,
      String(shots.n),
    ]),
  );
  const table = textTable([['task', 'score', 'value', 'n', '95 % interval', 'shots'], ...rows]);
  return table + answered.flatMap(notesOf).join('');
}

/** What a reader of the figures must know. */
function notesOf({ asked, scored }: Answered): string[] {
  const cut = scored.filter((s) => s.cut).length;
  const ofCut = `${asked.task}: ${cut} of ${scored.length} questions with their shots were longer than the model's context and lost their beginning`;
  return [shotsNote(asked), cut === 0 ? '' : ofCut].filter((note) => note !== '').map((note) => `${note}\n`);
}
