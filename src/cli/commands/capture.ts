/** @file `capture`: activations of a model over a file of texts, as safetensors shards and an index. */
import { type Command, Option } from 'commander';
import { tokenizerHash, writeCapture } from '../../activations/index.ts';
import { claimFolder } from '../../base/index.ts';
import { leftOutText, readTexts } from '../../behaviours/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson, wholeNumber } from '../cli.ts';
import { openModel, weightsOption, withProgress } from '../model.ts';
import { addTemplateOptions, inTemplate, type TemplateOptions } from '../template.ts';

interface CaptureCommand extends CommonOptions, TemplateOptions {
  readonly model: string;
  readonly hook: readonly string[];
  readonly data: string;
  readonly out: string;
  readonly field?: string;
  readonly limit?: number;
  readonly batch: number;
  readonly shardRows: number;
  readonly dtype: 'F32' | 'F16' | 'BF16';
}

export function addCapture(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'capture',
    'Write the activations of a model over texts as safetensors shards and index.json; run again to go on.',
    `!echo '{"text": "Which day comes after Saturday?"}' > texts.jsonl`,
    'capture --model tiny-llama-m --hook blocks.3.hook_resid_post --data texts.jsonl --out captured',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .requiredOption(
      '--hook <name>',
      'activation to capture, e.g. blocks.3.hook_resid_post; may be repeated',
      collect,
    )
    .requiredOption(
      '--data <file>',
      'texts of a data file: JSONL (.gz), JSON or Parquet, in any usual layout',
    )
    .requiredOption('--out <folder>', 'folder to write')
    .option('--field <name>', 'field of --data that holds the text');
  addTemplateOptions(command)
    .addOption(new Option('--limit <n>', 'only the first n texts').argParser(wholeNumber('--limit', 1)))
    .addOption(
      new Option('--batch <n>', 'texts per forward pass').argParser(wholeNumber('--batch', 1)).default(32),
    )
    .addOption(
      new Option('--shard-rows <n>', 'tokens per shard')
        .argParser(wholeNumber('--shard-rows', 1))
        .default(65_536),
    )
    .addOption(
      new Option('--dtype <name>', 'number type that is stored')
        .choices(['F32', 'F16', 'BF16'])
        .default('F32'),
    )
    .action((options: CaptureCommand) => capture(options, cli));
}

async function capture(options: CaptureCommand, cli: Cli): Promise<void> {
  await using _claim = await claimFolder(options.out, {
    reads: [options.data, options.model],
    resumes: true,
  });
  const { field, limit } = options;
  const { texts, leftOut } = await readTexts(options.data, { field, limit });
  await using model = await openModel(options.model, cli, options);
  const rows = texts.map(({ id, text }) => ({
    id,
    ids: inTemplate(model, options, text).ids,
  }));
  const modelHash = await model.checkpoint.contentHash();
  const index = await withProgress(cli, options, (onProgress) =>
    writeCapture(options.out, model.decoder, rows, {
      hooks: options.hook,
      model: options.model,
      modelHash,
      tokenizerHash: tokenizerHash(model.tokenizer),
      batch: options.batch,
      shardRows: options.shardRows,
      dtype: options.dtype,
      signal: cli.signal,
      onProgress,
    }),
  );
  const { hooks, d_model, shards } = index;
  if (options.json)
    printJson(cli, {
      folder: options.out,
      hooks,
      d_model,
      texts: rows.length,
      left_out: leftOut,
      rows: index.rows,
      shards,
    });
  else
    cli.out(
      `${options.out}: ${index.rows} tokens of ${rows.length} texts, ${hooks.join(', ')}, width ${d_model}, ${shards.length} shards; rows left out: ${leftOutText(leftOut)}\n`,
    );
}
