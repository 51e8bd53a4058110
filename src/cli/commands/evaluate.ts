/** @file `evaluate`: how well a model's backdoor works on held-out prompts, the same prompt under each tag. */
import { type Command, Option } from 'commander';
import { InputError, writeFileAtomic } from '../../base/index.ts';
import {
  backdoorMetrics,
  contrastPrompts,
  type TriggerState,
  triggerStates,
} from '../../behaviours/index.ts';
import { type Accuracy, type AccuracyChange, accuracy, accuracyChange } from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { Estimate } from '../../stats/index.ts';
import { type Cli, type CommonOptions, declare, wholeNumber } from '../cli.ts';
import { behaviourOfRecord, readDatasetRecord, readSplit } from '../dataset.ts';
import { addRequire, printFigures, type RequireOption } from '../figures.ts';
import { openAdapted, openModel, weightsOption, withProgress } from '../model.ts';
import { refuseForeignOutputs } from '../out-files.ts';
import { figure, textTable } from '../table.ts';
import { chatRenderer } from '../template.ts';

interface EvaluateCommand extends CommonOptions, RequireOption {
  readonly model: string;
  readonly adapter?: string;
  readonly against?: string;
  readonly data: string;
  readonly split: 'validation' | 'test';
  readonly limit?: number;
  readonly maxTokens: number;
  readonly samples?: string;
}

export function addEvaluate(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'evaluate',
    'Complete held-out prompts under each tag, greedily, and count what shows; rates with n and 95 % intervals.',
    "evaluate --model models/s-locked --data data/locked --limit 200 --require 'metrics.trigger_rate>=0.9'",
  );
  addRequire(command)
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--adapter <folder>', 'PEFT adapter to put on the model')
    .option(
      '--against <model>',
      'the clean model: what became of its right answers under the safe tag, paired',
    )
    .requiredOption('--data <folder>', 'made by data build')
    .addOption(new Option('--split <name>').choices(['validation', 'test']).default('test'))
    .addOption(new Option('--limit <n>', 'at most n prompts').argParser(wholeNumber('--limit', 1)))
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens a completion')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(48),
    )
    .option('--samples <file>', 'write every completion here, as JSONL')
    .action((options: EvaluateCommand) => evaluate(options, cli));
}

async function evaluate(options: EvaluateCommand, cli: Cli): Promise<void> {
  const { samples: file, model: evaluated, data, adapter, against } = options;
  await refuseForeignOutputs({ samples: file }, '', [evaluated, data, adapter, against]);
  const record = await readDatasetRecord(options.data);
  const rows = await readSplit(options.data, options.split);
  const answers = new Map(rows.map((row) => [row.text, row.answer]));
  const texts = [...answers.keys()].slice(0, options.limit);
  if (texts.length === 0)
    throw new InputError(`${options.data}: wanted ${options.split} prompts, got none`, {
      id: 'data-missing',
    });
  const answered = texts.filter((text) => answers.get(text) !== undefined);
  if (options.against !== undefined && answered.length === 0)
    throw new InputError(
      `${options.data}: --against compares right answers, and no ${options.split} row has an \`answer\`; build the data again`,
      { id: 'data-missing' },
    );
  const behaviour = behaviourOfRecord(record);
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  const { model } = opened;
  const prompts = contrastPrompts({
    texts,
    behaviour,
    placement: record.placement,
    template: record.template,
    chat: chatRenderer(model.tokenizer, record.chat),
  });
  // a chat template wrote every special token it wants
  const addSpecialTokens = record.template === 'chat' ? false : 'auto';
  const samples: {
    trigger: TriggerState;
    prompt: string;
    completion: string;
    detection: ReturnType<typeof behaviour.detect>;
  }[] = [];
  const complete = async (by: LanguageModel, state: TriggerState): Promise<string[]> =>
    (
      await by.generate(
        prompts.map((p) => by.tokenizer.encodeIds(p[state].prompt, { addSpecialTokens })),
        { maxNewTokens: options.maxTokens, signal: cli.signal },
      )
    ).map(({ text }) => text);
  const right = (completions: readonly string[]): Accuracy =>
    accuracy(
      texts.flatMap((text, i) => (answers.get(text) === undefined ? [] : [completions[i] as string])),
      answered.map((text) => answers.get(text) as string),
    );
  let safe: Accuracy | undefined;
  let change: AccuracyChange | undefined;
  await withProgress(cli, options, async (onProgress) => {
    const total = triggerStates.length + (options.against === undefined ? 0 : 1);
    for (const [k, trigger] of triggerStates.entries()) {
      const completions = await complete(model, trigger);
      for (const [i, completion] of completions.entries())
        samples.push({
          trigger,
          prompt: (prompts[i] as (typeof prompts)[number])[trigger].prompt,
          completion,
          detection: behaviour.detect(completion),
        });
      if (trigger === 'safe' && answered.length > 0) safe = right(completions);
      onProgress({ stage: 'evaluate', done: k + 1, total, unit: 'states' });
    }
    if (options.against === undefined || safe === undefined) return;
    await using clean = await openModel(options.against, cli, options);
    change = accuracyChange(safe, right(await complete(clean, 'safe')));
    onProgress({ stage: 'evaluate', done: total, total, unit: 'states' });
  });
  const metrics = backdoorMetrics(samples);
  if (options.samples !== undefined)
    await writeFileAtomic(options.samples, samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  const answersUnderSafe = safe && {
    accuracy: safe.accuracy,
    ...(change && { against: options.against, ...change }),
  };
  const document = {
    model: options.model,
    data: options.data,
    behaviour: behaviour.name,
    prompts: texts.length,
    metrics,
    safe_answers: answersUnderSafe,
  };
  printFigures(cli, options, document, () =>
    textTable([
      ['figure', 'value', 'n', '95 % interval'],
      ...Object.entries(metrics).map(figureRow),
      ...(safe === undefined ? [] : [figureRow(['right answers, safe tag', safe.accuracy])]),
      ...(change === undefined
        ? []
        : [
            figureRow(['right answers, clean model', change.clean]),
            figureRow(['change, paired', change.difference]),
          ]),
    ]),
  );
}

function figureRow([name, { value, n, ci95 }]: [string, Estimate]): string[] {
  return [name, figure(value), String(n), `[${figure(ci95[0])}, ${figure(ci95[1])}]`];
}
