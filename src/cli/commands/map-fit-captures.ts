/** @file `map fit-captures`: a map fitted on two captures, ours or imported ones; no model is run. */
import { type Command, Option } from 'commander';
import { claimFolder } from '../../base/index.ts';
import { experimentEnv, fitCaptures } from '../../evaluate/index.ts';
import { saveMap } from '../../maps/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { SPLITS } from '../map-texts.ts';
import { withProgress } from '../model.ts';
import { defaults } from '../settings.ts';
import { figure } from '../table.ts';

/** Kinds that need no setting and no tags. */
const KINDS = ['affine', 'mean', 'identity', 'token-mean', 'random'] as const;

interface FitCapturesCommand extends CommonOptions {
  readonly kind: (typeof KINDS)[number];
  readonly sourceHook?: string;
  readonly targetHook?: string;
  readonly out: string;
}

export function addMapFitCaptures(map: Command, cli: Cli): void {
  declare(
    map,
    'fit-captures <source> <target>',
    'Fit a map on two captures of the same texts, made by capture or import activations. Neither model is run, so its figures are those of rows: mse, fvu, cosine.',
    `!for i in $(seq 20); do echo "{\\"text\\": \\"Which day comes after day $i?\\"}"; done > texts.jsonl`,
    'capture --model tiny-llama-s --hook blocks.2.hook_resid_post --data texts.jsonl --out of-s',
    'capture --model tiny-llama-m --hook blocks.3.hook_resid_post --data texts.jsonl --out of-m',
    'map fit-captures of-s of-m --kind affine --out affine',
  )
    .addOption(
      new Option('--kind <name>', 'how activations of the source become those of the target')
        .choices(KINDS)
        .default('affine'),
    )
    .option('--source-hook <name>', 'hook of the source, where its capture holds several')
    .option('--target-hook <name>', 'hook of the target, where its capture holds several')
    .requiredOption('--out <folder>', 'folder to write')
    .action((source: string, target: string, options: FitCapturesCommand) =>
      fitOnCaptures(source, target, options, cli),
    );
}

async function fitOnCaptures(
  source: string,
  target: string,
  options: FitCapturesCommand,
  cli: Cli,
): Promise<void> {
  const { out, kind, sourceHook, targetHook, seed = defaults.seed } = options;
  await using _claim = await claimFolder(out, { reads: [source, target], makes: ['map.json'] });
  const map = await withProgress(cli, options, (progress) =>
    fitCaptures({
      source: { folder: source, hook: sourceHook },
      target: { folder: target, hook: targetHook },
      settings: { kind },
      shares: SPLITS,
      env: experimentEnv('maps', { seed, progress, signal: cli.signal }),
    }),
  );
  await saveMap(map, out);
  const { metrics, rows, settings } = map.record;
  const ends = { source: map.source, target: map.target };
  if (options.json) {
    printJson(cli, { map: out, kind, ...ends, rows, settings, metrics });
    return;
  }
  const said = Object.entries(metrics).map(([name, value]) => `${name} ${figure(value)}`);
  cli.out(
    `${kind}: ${map.source.name} ${map.source.hook} → ${map.target.name} ${map.target.hook}, ${rows} rows; ${said.join(', ')}\nwrote ${out}\n`,
  );
}
