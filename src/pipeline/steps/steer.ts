/** @file Steering transfer over one or several maps of a pair of blocks, every arm; what no map changes is run once. */
import type { MapFit, Sample, TransferArm, TransferEntry } from '../../contracts/index.ts';
import {
  type BlockOf,
  type ContrastCase,
  type ExperimentEnv,
  type MapFn,
  prepareTransfer,
  type Subject,
  type TransferData,
  transferMap,
  transferShared,
  withOtherFits,
} from '../../evaluate/index.ts';
import type { ActivationMap } from '../../maps/index.ts';

/** Who is steered by whom, on which prompts. */
export interface Steering {
  readonly target: BlockOf;
  /** Where a fit's activations come from (`clean_a`: the source before its fine-tune). */
  readonly source: (fit: MapFit) => BlockOf;
  /** Test prompts with the target's unpatched runs. */
  readonly subject: Subject;
  /** Validation prompts, on which α is chosen; without them (and several α) it is 1. */
  readonly validation?: Subject;
  /** Training prompts behind the static vector; without them there is no such arm. */
  readonly training?: readonly ContrastCase[];
  readonly maps: readonly { readonly label: string; readonly fit: MapFit; readonly map: ActivationMap }[];
  readonly controls: { readonly shuffled?: ActivationMap; readonly tokenMean?: ActivationMap };
}

/** Names as in the recipe. */
export interface SteerSettings {
  readonly modes: readonly ('set' | 'add')[];
  readonly alphas: readonly number[];
  readonly arms: readonly TransferArm[];
  readonly draws: number;
  /** Of non-inferiority. */
  readonly margin: number;
  readonly max_tokens: number;
  readonly bootstrap: number;
}

/** What {@link steerByMaps} returns. */
export interface Steered {
  /** `results.transfer`. */
  readonly transfer: Readonly<Record<string, Readonly<Partial<Record<MapFit, TransferEntry>>>>>;
  readonly draft_acceptance: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
}

/** Steer by every map. Throws when no prompt shows the behaviour unpatched. */
export async function steerByMaps(
  steering: Steering,
  p: SteerSettings,
  behaviour: string,
  { rng, progress, signal }: ExperimentEnv,
): Promise<Steered> {
  const { target, source, maps, training } = steering;
  const shared = { maxNewTokens: p.max_tokens, progress, signal, arms: p.arms };
  const tags = { behaviour, stage: 'transfer' } as const;
  const prepared = new Map<string, TransferData>();
  const dataOf = async (fit: MapFit, of: Subject, name: string): Promise<TransferData> => {
    const key = `${name} ${fit === 'clean_a'}`;
    const data =
      prepared.get(key) ??
      (await prepareTransfer(source(fit), target, of, {
        signal,
        ...(training === undefined || training.length === 0 ? {} : { trainingCases: training }),
      }));
    prepared.set(key, data);
    return data;
  };
  const tuned = await dataOf('with_tags', steering.subject, 'test');
  const choosesAlpha = p.modes.includes('add') && p.alphas.length > 1;
  const common = await transferShared(tuned, { ...shared, rng: rng.fork('shared'), tags, draws: p.draws });
  const samples: Sample[] = [...common.samples];
  const acceptance: Record<string, number> = { 'transfer.shared': common.draftAcceptance };
  const { shuffled, tokenMean } = steering.controls;
  const transfer: Record<string, Partial<Record<MapFit, TransferEntry>>> = {};
  for (const [i, { label, fit, map }] of maps.entries()) {
    const name = `${label}.${fit}`;
    progress({
      stage: 'transfer',
      done: i,
      total: maps.length,
      unit: 'maps',
      message: `steering by ${name}`,
    });
    // α of a map is chosen on the source it was fitted on.
    const validation =
      steering.validation !== undefined && choosesAlpha
        ? await dataOf(fit, steering.validation, 'validation')
        : undefined;
    const result = await transferMap(
      await dataOf(fit, steering.subject, 'test'),
      common,
      {
        mapped: mapFn(map),
        ...(shuffled === undefined ? {} : { shuffled: mapFn(shuffled) }),
        ...(tokenMean === undefined ? {} : { tokenMean: mapFn(tokenMean) }),
      },
      {
        ...shared,
        rng: rng.fork(`transfer ${name}`),
        tags: { ...tags, map: { kind: label, fit } },
        modes: p.modes,
        alphas: p.alphas,
        validation,
        noninferiorityMargin: p.margin,
        bootstrap: p.bootstrap,
      },
    );
    (transfer[label] ??= {})[fit] = result.entry;
    samples.push(...result.samples);
    acceptance[`transfer.${name}`] = result.draftAcceptance;
  }
  return {
    transfer: withOtherFits(transfer, samples, rng.fork('other fits'), p.bootstrap),
    draft_acceptance: acceptance,
    samples,
  };
}

/** A map's arithmetic as transfer takes it. */
export function mapFn(map: ActivationMap): MapFn {
  return (rows, tokens) => map.apply(rows, tokens.length, { tokenIds: tokens });
}
