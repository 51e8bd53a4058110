/** @file A map fitted on two captures: of `capture`, or of another tool by `import activations`. Neither model is run. */
import {
  collectPairs,
  pairedCaptures,
  type SplitShares,
  selectPairs,
  splitByPrompt,
  storedPairs,
  textsHash,
} from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import { type ActivationMap, type FitSettings, fitMap, type MapEnd, rowFigures } from '../../maps/index.ts';
import { parseHookName } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';

/** One side. */
interface CaptureSide {
  readonly folder: string;
  /** Defaults to the only one of the capture. */
  readonly hook?: string | undefined;
}

/** What {@link fitCaptures} is asked for. */
interface CapturesFit {
  readonly source: CaptureSide;
  readonly target: CaptureSide;
  readonly settings: FitSettings;
  /** Texts of each part; rows of one text stay together. */
  readonly shares: SplitShares;
  readonly env: ExperimentEnv;
}

/** Fit on the training texts, choose on the validation texts; the map's metrics gain `test_mse`, `test_fvu` and `test_cossim`. */
export async function fitCaptures({
  source,
  target,
  settings,
  shares,
  env,
}: CapturesFit): Promise<ActivationMap> {
  const { rng, seed, signal, progress, threads } = env;
  const paired = await pairedCaptures(source.folder, target.folder);
  const split = splitByPrompt(paired.texts, shares, rng.fork('split'));
  for (const part of ['train', 'validation', 'test'] as const)
    if (split[part].length === 0)
      throw new InputError(
        `${source.folder}: ${paired.texts.length} texts leave none for ${part}; capture more`,
        { id: 'fit-impossible' },
      );
  const ends = { source: endOf(source, paired.source), target: endOf(target, paired.target) };
  const read = (texts: typeof split.train) =>
    storedPairs(
      texts,
      { folder: source.folder, hook: ends.source.hook },
      { folder: target.folder, hook: ends.target.hook },
    );
  const map = await fitMap(
    settings,
    { train: await read(split.train), validation: await read(split.validation) },
    {
      fit: 'general',
      ...ends,
      sourceTokenizer: paired.source.tokenizer_hash,
      targetTokenizer: paired.target.tokenizer_hash,
      data: textsHash(split.train),
      seed,
      rng: rng.fork(`fit ${settings.kind}`),
      signal,
      onProgress: progress,
      threads,
    },
  );
  const { n, x, y, targetTokens } = await collectPairs(selectPairs(await read(split.test)));
  const { mse, fvu, cossim } = rowFigures(
    map.apply(x, n, { tokenIds: targetTokens }),
    y,
    n,
    ends.target.width,
  );
  return map.withMetrics({ test_mse: mse, test_fvu: fvu, test_cossim: cossim });
}

function endOf(
  { folder, hook: wanted }: CaptureSide,
  index: Awaited<ReturnType<typeof pairedCaptures>>['source'],
): MapEnd {
  const { hooks, d_model: width, model: name, model_hash: model } = index;
  const hook = wanted ?? (hooks.length === 1 ? hooks[0] : undefined);
  if (hook === undefined || !hooks.includes(hook))
    throw new InputError(`${folder}: wanted one of its hooks ${hooks.join(', ')}, got ${wanted ?? 'none'}`, {
      id: 'hook-unknown',
    });
  return { model, name, block: parseHookName(hook, Number.POSITIVE_INFINITY).layer, hook, width };
}
