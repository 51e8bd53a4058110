/** @file `fidelity`: does B go on as it would have, on activations of A put through a map? (docs/concepts/method.md#fidelity) */
import { type Command, Option } from 'commander';
import { InputError, writeFileAtomic, writeJsonAtomic } from '../../base/index.ts';
import {
  type FidelityScores,
  fidelitySettings,
  JUDGES,
  type Judge,
  onnxJudgeSettings,
} from '../../contracts/index.ts';
import {
  experimentEnv,
  fidelity,
  fidelityPrompts,
  locateOnnxJudge,
  openOnnxJudges,
} from '../../evaluate/index.ts';
import { type Cli, collect, declare } from '../cli.ts';
import { addControlOption, type ControlOption, openControls } from '../controls.ts';
import { addRequire, printFigures } from '../figures.ts';
import { choiceList } from '../lists.ts';
import { withProgress } from '../model.ts';
import { refuseForeignOutputs } from '../out-files.ts';
import { addPairOptions, openMap, openPair, type PairOptions } from '../pair.ts';
import { addPromptOptions, askingOf, type PromptOptions, readPrompts } from '../prompts.ts';
import { defaults } from '../settings.ts';
import { intervalCell, jsonLines, rateCell, textTable } from '../table.ts';

interface FidelityCommand extends PairOptions, PromptOptions, ControlOption {
  readonly map: string;
  readonly judges: readonly Judge[];
  readonly onnxJudge?: readonly string[];
  readonly replace: 'prefill' | 'all';
  readonly samples?: string;
  readonly out?: string;
}

export function addFidelity(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'fidelity',
    "Put a map's activations in place of all of a prompt's, and compare what the target says with what it would have said.",
    'fidelity --map maps/affine --source models/s-locked --target models/m-locked --data data/locked --prompts 50',
  ).requiredOption('--map <folder>', 'made by map fit, invert or a run');
  addControlOption(addPairOptions(command, 'checked'));
  addRequire(addPromptOptions(command, defaults.fidelity.prompts))
    .addOption(
      new Option('--judges <list>', `some of ${JUDGES.join(', ')}`)
        .argParser(choiceList('--judges', JUDGES))
        .default(defaults.fidelity.judges, 'all'),
    )
    .option(
      '--onnx-judge <kind=path>',
      'a local ONNX model as a further judge: embedding=FOLDER or pair=FOLDER; may be repeated',
      collect,
    )
    .addOption(
      new Option('--replace <what>', fidelitySettings.shape.replace.description)
        .choices(['prefill', 'all'])
        .default(defaults.fidelity.replace),
    )
    .option('--samples <file>', 'write every completion judged here, as JSONL')
    .option('--out <file>', 'write the figures here, as JSON')
    .action((options: FidelityCommand) => run(options, cli));
}

async function run(options: FidelityCommand, cli: Cli): Promise<void> {
  const { seed = defaults.seed, judges, replace } = options;
  if (judges.length === 0)
    throw new InputError('--judges none: wanted at least one judge', { id: 'option-invalid' });
  await refuseForeignOutputs(options, 'fidelity', [options.map, options.data]);
  const wanted = await onnxJudges(options.onnxJudge ?? []);
  const prompts = await readPrompts(options);
  await using pair = await openPair(options, cli);
  await using local = await openOnnxJudges(wanted, { signal: cli.signal });
  const { source, target } = pair;
  const map = await openMap(options.map, pair, options);
  const controls = await openControls(options, map, pair);
  const asking = askingOf(prompts, options);
  const texts = prompts.test.slice(0, options.prompts);
  const tokenizers = { source: source.tokenizer, target: target.tokenizer };
  const behaviour = prompts.behaviour.name;
  const found = await withProgress(cli, options, (progress) => {
    const env = experimentEnv('fidelity', { seed, progress, signal: cli.signal });
    return fidelity(
      {
        source,
        target,
        prompts: fidelityPrompts(texts, tokenizers, asking),
        maps: [{ label: map.kind, map }],
        controls,
        behaviour,
        further: local.judges,
      },
      { ...asking, judges: [...judges], replace },
      { ...env, rng: env.rng.fork('fidelity') },
    );
  });
  const document = {
    map: options.map,
    behaviour,
    prompts: texts.length,
    fidelity: found.fidelity,
    ceiling_changed: found.ceiling_changed,
  };
  if (options.samples !== undefined) await writeFileAtomic(options.samples, jsonLines(found.samples));
  if (options.out !== undefined) await writeJsonAtomic(options.out, document);
  const scores = found.fidelity[map.kind]?.[map.fit] ?? {};
  printFigures(
    cli,
    options,
    document,
    () =>
      `${scoresTable(scores)}ceiling (the target's own activations) changed ${rateCell(found.ceiling_changed)} of ${found.ceiling_changed.n} completions (expected 0)\n`,
  );
}

/** `kind=path` of an option. */
async function onnxJudges(pairs: readonly string[]): Promise<Parameters<typeof openOnnxJudges>[0]> {
  return Promise.all(
    pairs.map(async (pair) => {
      const at = pair.indexOf('=');
      const { data, success } = onnxJudgeSettings.safeParse({
        kind: pair.slice(0, Math.max(0, at)),
        model: pair.slice(at + 1),
      });
      if (!success)
        throw new InputError(`--onnx-judge ${pair}: wanted embedding=PATH or pair=PATH`, {
          id: 'option-invalid',
        });
      const { model, ...reading } = data;
      const { folder, file } = await locateOnnxJudge(model, reading);
      return { folder, settings: { ...reading, name: reading.kind, file } };
    }),
  );
}

function scoresTable(bySafety: Readonly<Record<string, Readonly<Record<string, FidelityScores>>>>): string {
  const arms = ['mapped', 'mean_ablated', 'ceiling', 'shuffled', 'token_mean', 'random'] as const;
  const rows = Object.entries(bySafety).flatMap(([safety, byJudge]) =>
    Object.entries(byJudge).map(([judge, scores]) => ({ safety, judge, scores })),
  );
  const shown = arms.filter((arm) => rows.some((row) => row.scores[arm] !== undefined));
  return textTable([
    ['prompts', 'judge', 'metric', ...shown.map((arm) => arm.replace('_', ' ')), 'p', 'd_z'],
    ...rows.map(({ safety, judge, scores }) => [
      safety,
      judge,
      scores.metric,
      ...shown.map((arm) => intervalCell(scores[arm])),
      rateCell(scores.test?.p),
      rateCell(scores.test?.dz),
    ]),
  ]);
}
