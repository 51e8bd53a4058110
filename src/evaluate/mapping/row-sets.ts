/** @file What texts the fits of some maps are made on, and which side reads which of them. */
import type { PairedText, TokenizerPair } from '../../activations/index.ts';
import { InputError, type Rng } from '../../base/index.ts';
import type { MapFit, MapSettings } from '../../contracts/index.ts';
import { type MapTexts, shuffleTags } from './texts.ts';

/** A reader of texts: the source, the source before its fine-tune, the source before its block 0, the target. */
export const ROW_SIDES = ['source', 'clean', 'embedding', 'target'] as const;
export type RowSide = (typeof ROW_SIDES)[number];

/** Texts of a fit: of tagged rows, of those with the source reading another tag, of no backdoor data; to fit and to choose on. */
export interface RowSet {
  readonly kind: 'tagged' | 'shuffled' | 'general';
  readonly part: 'train' | 'validation';
}

const PARTS = ['train', 'validation'] as const;

/** Which side a fit reads. */
export function sideOf(fit: MapFit): Exclude<RowSide, 'target'> {
  if (fit === 'clean_a') return 'clean';
  return fit === 'embedding_a' ? 'embedding' : 'source';
}

/** The folder of a set. The target reads texts with shuffled tags as they are. */
export function folderOf(side: RowSide, { kind, part }: RowSet): string {
  return `${side}/${side === 'target' && kind === 'shuffled' ? 'tagged' : kind}-${part}`;
}

/** The sets that the fits of `maps` and their figures read on a side. */
export function wantedSets(side: RowSide, maps: readonly MapSettings[]): RowSet[] {
  const fits = new Set(maps.flatMap((m) => m.fits));
  const general = fits.has('general') || maps.some((m) => 'general_share' in m && m.general_share > 0);
  const kinds: Record<RowSide, readonly [RowSet['kind'], boolean][]> = {
    // Figures and inverses want the tagged rows whatever is fitted.
    source: [
      ['tagged', true],
      ['shuffled', maps.some((m) => m.kind === 'shuffled')],
      ['general', general],
    ],
    clean: [['tagged', fits.has('clean_a')]],
    embedding: [['tagged', fits.has('embedding_a')]],
    target: [
      ['tagged', true],
      ['general', general],
    ],
  };
  return kinds[side].flatMap(([kind, wanted]) => (wanted ? PARTS.map((part) => ({ kind, part })) : []));
}

/** The texts of a set; `rng` is the stream of the maps. */
export function textsOf(
  { kind, part }: RowSet,
  { behaviour, rows, split, general }: MapTexts,
  tokenizers: TokenizerPair,
  rng: Rng,
): readonly PairedText[] {
  if (kind === 'general') return general[part];
  if (kind === 'tagged') return split[part];
  if (behaviour === undefined)
    throw new InputError('maps: the control `shuffled` needs tagged rows; give a data set', {
      id: 'fit-impossible',
    });
  return shuffleTags(split[part], { rows, behaviour }, tokenizers, rng.fork(`shuffle ${part}`));
}
