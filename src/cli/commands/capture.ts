/** @file `capture`: activations of a model over a file of texts, as safetensors shards and an index. */
import { type Command, Option } from 'commander';
import { readCaptureTexts, tokenizerHash, writeCapture } from '../../activations/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson, wholeNumber } from '../cli.ts';
import { inTemplate, openModel, TEMPLATE_CHOICES, type TemplateChoice, withProgress } from '../model.ts';

interface CaptureCommand extends CommonOptions {
  readonly model: string;
  readonly hook: readonly string[];
  readonly data: string;
  readonly out: string;
  readonly field?: string;
  readonly template: TemplateChoice;
  readonly limit?: number;
  readonly batch: number;
  readonly shardRows: number;
  readonly dtype: 'F32' | 'F16' | 'BF16';
}

export function addCapture(program: Command, cli: Cli): void {
  declare(
    program,
    'capture',
    'Write the activations of a model over texts as safetensors shards and index.json; run again to go on.',
    'capture --model tiny-llama-m --hook blocks.3.hook_resid_post --data prompts.jsonl --out captured',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .requiredOption(
      '--hook <name>',
      'what to capture, e.g. blocks.3.hook_resid_post; may be repeated',
      collect,
    )
    .requiredOption('--data <file>', 'JSONL: texts, or objects with prompt, instruction, text or question')
    .requiredOption('--out <folder>', 'where to write')
    .option('--field <name>', 'field that holds the text')
    .addOption(
      new Option('--template <name>', 'text put around each text').choices(TEMPLATE_CHOICES).default('none'),
    )
    .addOption(new Option('--limit <n>', 'only the first n texts').argParser(wholeNumber('--limit', 1)))
    .addOption(
      new Option('--batch <n>', 'texts of a forward pass').argParser(wholeNumber('--batch', 1)).default(32),
    )
    .addOption(
      new Option('--shard-rows <n>', 'tokens after which a shard is closed')
        .argParser(wholeNumber('--shard-rows', 1))
        .default(65_536),
    )
    .addOption(new Option('--dtype <name>', 'stored numbers').choices(['F32', 'F16', 'BF16']).default('F32'))
    .action((options: CaptureCommand) => capture(options, cli));
}

async function capture(options: CaptureCommand, cli: Cli): Promise<void> {
  const texts = (await readCaptureTexts(options.data, options.field)).slice(0, options.limit);
  await using model = await openModel(options.model, cli, options);
  const rows = texts.map(({ id, text }) => ({
    id,
    ids: model.toTokens(inTemplate(model, options.template, text))[0] as number[],
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
    printJson(cli, { folder: options.out, hooks, d_model, texts: rows.length, rows: index.rows, shards });
  else
    cli.out(
      `${options.out}: ${index.rows} tokens of ${rows.length} texts, ${hooks.join(', ')}, width ${d_model}, ${shards.length} shards\n`,
    );
}
