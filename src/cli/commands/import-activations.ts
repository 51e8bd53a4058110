/** @file `import activations`: activations captured by vLLM, or by whoever writes its keys, as a capture of ours. */
import { type Command, Option } from 'commander';
import { importActivations, tokenizerHash } from '../../activations/index.ts';
import { claimFolder, InputError } from '../../base/index.ts';
import { residAfter } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { blockList } from '../lists.ts';
import { openModel, withProgress } from '../model.ts';
import { figure } from '../table.ts';

interface ActivationsOptions extends CommonOptions {
  readonly model: string;
  readonly blocks?: readonly number[];
  readonly vllmLayers?: readonly number[];
  readonly order?: 'tokens' | 'layers';
  readonly check: number;
  readonly again?: string;
}

export function addImportActivations(group: Command, cli: Cli): void {
  declare(
    group,
    'activations <folder> <out>',
    'Read {id}.safetensors with token_ids [T] and hidden_states [T, layers, d], as vLLM writes them, check them against the model, and write a capture.',
    `!echo '{"text": "Which day comes after Saturday?"}' > texts.jsonl`,
    'capture --model tiny-llama-m --hook blocks.3.hook_resid_post --data texts.jsonl --out captured',
    'export activations captured for-others',
    'import activations for-others captured-again --model tiny-llama-m --blocks 3',
  )
    .requiredOption(
      '--model <model>',
      'the model that was captured: bundled name, path, or org/name on the hub',
    )
    .option(
      '--blocks <list>',
      'the layers of the files: the residual stream after these blocks (from 0), in the order of the files',
      blockList('--blocks'),
    )
    .option(
      '--vllm-layers <list>',
      "the same, as vLLM's eagle_aux_hidden_state_layer_ids counts: k is what enters block k",
      blockList('--vllm-layers'),
    )
    .addOption(
      new Option('--order <axis>', 'first axis of hidden_states, where the shapes do not decide').choices([
        'tokens',
        'layers',
      ]),
    )
    .addOption(
      new Option('--check <n>', 'texts that the model reads too, to see that the layers are those named')
        .argParser(wholeNumber('--check', 0))
        .default(1),
    )
    .option(
      '--again <folder>',
      'the same texts captured again in other batches: how far the two are apart is printed and kept in index.json',
    )
    .action((folder: string, out: string, options: ActivationsOptions) =>
      activations(folder, out, options, cli),
    );
}

async function activations(
  folder: string,
  out: string,
  options: ActivationsOptions,
  cli: Cli,
): Promise<void> {
  const { blocks, vllmLayers, order, check, again } = options;
  if (blocks !== undefined && vllmLayers !== undefined)
    throw new InputError('--blocks and --vllm-layers say the same; give one of them', {
      id: 'option-conflict',
    });
  await using _claim = await claimFolder(out, {
    reads: [folder, options.model, ...(again === undefined ? [] : [again])],
  });
  await using model = await openModel(options.model, cli, options);
  const modelHash = await model.checkpoint.contentHash();
  const { index, noise } = await withProgress(cli, options, (onProgress) =>
    importActivations(folder, out, model.decoder, {
      hooks: blocks?.map(residAfter) ?? vllmLayers?.map((k) => residAfter(k - 1)),
      order,
      check,
      again,
      model: options.model,
      modelHash,
      tokenizerHash: tokenizerHash(model.tokenizer),
      signal: cli.signal,
      onProgress,
    }),
  );
  const { hooks, d_model, dtype, rows, prompts } = index;
  if (options.json) {
    const checked = noise.model?.layers ?? [];
    printJson(cli, { folder: out, hooks, d_model, dtype, texts: prompts.length, rows, checked, noise });
    return;
  }
  cli.out(
    `${out}: ${rows} tokens of ${prompts.length} texts, ${hooks.join(', ')}, width ${d_model}, ${dtype}\n`,
  );
  for (const { hook, difference } of noise.model?.layers ?? [])
    cli.out(`${hook}: differs by ${figure(difference)} of its length from what the model gives here\n`);
  for (const { hook, difference, median, max } of noise.again?.layers ?? [])
    cli.out(
      `${hook}: captured again, differs by ${figure(difference)} of its length (per token: median ${figure(median)}, at most ${figure(max)})\n`,
    );
}
