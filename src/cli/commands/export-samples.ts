/** @file `export samples`: judged completions as logs of Inspect AI or result files of lm-evaluation-harness. */
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError, parseJson, textLines, withAtomicFolder } from '../../base/index.ts';
import { type ItemRow, itemRowSchema, type Sample, sampleSchema } from '../../contracts/index.ts';
import { packageVersions, readManifest, readSamples } from '../../pipeline/index.ts';
import {
  type EvalRecord,
  inspectLogs,
  itemRecords,
  lmEvalFiles,
  type RecordSource,
  runRecords,
  runSource,
} from '../../report/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson } from '../cli.ts';

const FORMATS = {
  inspect: (records: readonly EvalRecord[], source: RecordSource) =>
    new Map(
      [...inspectLogs(records, source)].map(([name, log]) => [name, `${JSON.stringify(log, null, 1)}\n`]),
    ),
  'lm-eval': lmEvalFiles,
} as const;

interface SamplesOptions extends CommonOptions {
  readonly format: keyof typeof FORMATS;
  readonly stage?: readonly string[];
  readonly model?: string;
}

export function addExportSamples(group: Command, cli: Cli): void {
  declare(
    group,
    'samples <from> <folder>',
    'Write the samples of a run folder, or rows of capabilities --samples, as logs for Inspect AI or as result files of lm-evaluation-harness.',
    'export samples runs/demo logs --format inspect',
  )
    .addOption(
      new Option('--format <name>', 'whose format').choices(Object.keys(FORMATS)).makeOptionMandatory(),
    )
    .option(
      '--stage <name>',
      'only samples of this stage of the run (backdoor, transfer, …); may be repeated',
      collect,
    )
    .option('--model <name>', 'who answered, for rows that do not say; by default the name of the file')
    .action((from: string, folder: string, options: SamplesOptions) => samples(from, folder, options, cli));
}

async function samples(from: string, folder: string, options: SamplesOptions, cli: Cli): Promise<void> {
  const isRun = (await stat(from).catch(() => undefined))?.isDirectory() === true;
  const { records, source } = isRun ? await ofRun(from, options) : await ofFile(from, options);
  if (records.length === 0) throw new InputError(`${from}: no samples to write`, { id: 'data-missing' });
  const files = FORMATS[options.format](records, source);
  await withAtomicFolder(folder, async (aside) => {
    for (const [name, text] of files) {
      await mkdir(join(aside, dirname(name)), { recursive: true });
      await writeFile(join(aside, name), text);
    }
  });
  if (options.json) printJson(cli, { folder, samples: records.length, files: [...files.keys()] });
  else cli.out(`wrote ${folder}: ${records.length} samples in ${files.size} files\n`);
}

interface Found {
  readonly records: readonly EvalRecord[];
  readonly source: RecordSource;
}

async function ofRun(folder: string, { stage }: SamplesOptions): Promise<Found> {
  const manifest = await readManifest(folder);
  const all = await readSamples(folder);
  const stages = new Set(all.map((s) => s.stage));
  for (const name of stage ?? [])
    if (!stages.has(name))
      throw new InputError(`--stage ${name}: ${folder} has samples of ${[...stages].join(', ')}`, {
        id: 'stage-unknown',
      });
  const wanted = all.filter((s) => stage === undefined || stage.includes(s.stage));
  return { records: runRecords(wanted), source: runSource(manifest) };
}

async function ofFile(path: string, { model, stage }: SamplesOptions): Promise<Found> {
  if (stage !== undefined)
    throw new InputError('--stage is of the samples of a run folder; leave it out', {
      id: 'option-conflict',
    });
  const items: ItemRow[] = [];
  const rows: Sample[] = [];
  for await (const { text, number } of textLines(path)) {
    if (text === '') continue;
    const value = parseJson(text, `${path} line ${number}`);
    const [item, sample] = [itemRowSchema.safeParse(value), sampleSchema.safeParse(value)];
    if (item.success) items.push(item.data);
    else if (sample.success) rows.push(sample.data);
    else
      throw new InputError(
        `${path} line ${number}: wanted a row of capabilities --samples or of the samples of a run; give one of these, or a run folder`,
        { id: 'data-invalid' },
      );
  }
  const name = basename(path, extname(path));
  const written = (await stat(path)).mtime.toISOString();
  return {
    records: [...itemRecords(items, model ?? name), ...runRecords(rows)],
    source: { name, started: written, finished: written, packages: await packageVersions(), models: {} },
  };
}
