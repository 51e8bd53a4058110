/** @file What every kind of map is given to fit on, and what it gives back. */
import type { PairSource } from '../activations/index.ts';
import { LEFT_OUT, ROW } from '../activations/index.ts';
import type { Rng } from '../base/index.ts';
import type { MapCurves, MapFit } from '../contracts/index.ts';
import type { MapBody, MapEnd } from './map.ts';
import type { Watch } from './moments.ts';

/** Rows with all their flags; each kind leaves out what its fit leaves out. */
export interface FitData {
  readonly train: PairSource;
  /** Chooses λ, draws the curves. */
  readonly validation: PairSource;
  /** The same made from `shuffledTexts`; only the kind `shuffled` needs it. */
  readonly shuffled?: { readonly train: PairSource; readonly validation: PairSource } | undefined;
}

/** Circumstances of a fit. */
export interface FitContext extends Watch {
  readonly fit: MapFit;
  readonly source: MapEnd;
  readonly target: MapEnd;
  readonly sourceTokenizer: string;
  readonly targetTokenizer: string;
  /** Hash of the texts. */
  readonly data: string;
  readonly seed: number;
  /** Where the rows are a part of those of the fit, or mixed with general text: recorded with the map's settings. */
  readonly drawn?: { readonly general_share: number; readonly rows?: number | undefined } | undefined;
  /** Draws of initial weights, minibatches, rotations. */
  readonly rng: Rng;
  /** Further figures for the curves of trained maps, e.g. `kl_div`; its time does not count as fitting. */
  readonly evaluate?: (body: MapBody) => Promise<Readonly<Record<string, number>>>;
  /** Points of a curve. Defaults to 12. */
  readonly curvePoints?: number;
  /** Threads of a training session. Defaults to the number of cores. */
  readonly threads?: number;
}

/** What a kind gives back. */
export interface Fitted {
  readonly body: MapBody;
  readonly rows: number;
  readonly seconds: number;
  readonly settings: Readonly<Record<string, number | string | boolean>>;
  readonly metrics?: Readonly<Record<string, number>>;
  readonly curves?: MapCurves;
}

/** Flags of rows a fit leaves out: position 0, sinks and approximate pairs; `no_tag_rows` also the tag's; preset `blog` keeps the first two. */
export function leftOut(fit: MapFit, blog = false): number {
  return (blog ? ROW.approximate : LEFT_OUT) | (fit === 'no_tag_rows' ? ROW.span : 0);
}
