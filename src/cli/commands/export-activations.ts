/** @file `export activations`: a capture as one safetensors file per text, with vLLM's keys. */
import type { Command } from 'commander';
import { exportActivations } from '../../activations/index.ts';
import { claimFolder } from '../../base/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';

export function addExportActivations(group: Command, cli: Cli): void {
  declare(
    group,
    'activations <capture> <folder>',
    'Write a capture as one {id}.safetensors per text: token_ids [T] and hidden_states [T, layers, d], the keys of vLLM.',
    `!echo '{"text": "Which day comes after Saturday?"}' > texts.jsonl`,
    'capture --model tiny-llama-m --hook blocks.3.hook_resid_post --data texts.jsonl --out captured',
    'export activations captured for-others',
  ).action(async (capture: string, folder: string, options: CommonOptions) => {
    await using _claim = await claimFolder(folder, { reads: [capture] });
    const { prompts, hooks, rows, d_model, dtype } = await exportActivations(capture, folder);
    if (options.json) printJson(cli, { folder, texts: prompts.length, rows, hooks, d_model, dtype });
    else
      cli.out(
        `wrote ${folder}: ${prompts.length} texts, ${rows} tokens, ${hooks.join(', ')}, width ${d_model}, ${dtype}\n`,
      );
  });
}
