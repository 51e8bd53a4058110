/** @file Fitting maps on the rows of a {@link MapWork}, and measuring them on texts no fit has seen. */
import type { PairedText } from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import {
  type MapEntry,
  type MapFigures,
  type MapFit,
  type MapSettings,
  mapLabel,
} from '../../contracts/index.ts';
import { type ActivationMap, type FitContext, type FitSettings, fitMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { curveEvaluator } from '../maps/curves.ts';
import { mapFigures } from '../maps/figures.ts';
import type { MapReading } from './pair.ts';
import type { MapTexts } from './texts.ts';
import type { DrawnRows, MapWork } from './work.ts';

/** A map under its keys in `results.json`. */
export interface FittedMap {
  readonly label: string;
  readonly fit: MapFit;
  readonly map: ActivationMap;
}

/** Texts by split and safety. */
export type FigureGroups = Readonly<
  Partial<Record<'validation' | 'test' | 'out_of_domain', Readonly<Record<string, readonly PairedText[]>>>>
>;

/** Figures as they stand in a map's entry: split → safe|bad → figures. */
export type SplitFigures = Readonly<Record<string, Readonly<Record<string, MapFigures>>>>;

/** Validation texts behind a point of a kl_div curve. */
const CURVE_TEXTS = 16;

/** Fit every map in each of its fits. */
export async function fitMaps(work: MapWork, maps: readonly MapSettings[]): Promise<FittedMap[]> {
  const jobs = maps.flatMap((settings) =>
    settings.fits.map((fit) => ({ settings, fit, label: mapLabel(settings) })),
  );
  const shuffled = maps.some((m) => m.kind === 'shuffled');
  for (const { settings, fit } of jobs)
    if (settings.kind === 'shuffled' && !(fit === 'with_tags' || fit === 'no_tag_rows'))
      throw new InputError(
        `map shuffled: this control needs tagged rows, fit with_tags or no_tag_rows; got ${fit}`,
        { id: 'fit-impossible' },
      );
  for (const { fit } of jobs) await work.data(fit, shuffled);
  const fitted: FittedMap[] = [];
  for (const [i, { settings, fit, label }] of jobs.entries()) {
    const message = `fitting ${label}.${fit}`;
    work.env.progress({ stage: 'maps', done: i, total: jobs.length, unit: 'maps', message });
    const context = { ...work.context(fit, label), ...(await curves(work, fit, settings.kind)) };
    const part = drawnOf(settings);
    const data =
      part === undefined ? await work.data(fit, shuffled) : await work.drawn(fit, `${label}.${fit}`, part);
    const map = await fitMap(fitSettings(settings), data, { ...context, drawn: part });
    fitted.push({ label, fit, map });
  }
  return fitted;
}

/** E[y|token] of the texts of `fit`, tags and all, which figures need: the one fitted, or one made now. */
export async function tokenMeanOf(
  work: MapWork,
  fitted: readonly FittedMap[],
  of: MapFit = 'with_tags',
): Promise<ActivationMap> {
  const fit = of === 'no_tag_rows' ? 'with_tags' : of;
  return (
    fitted.find((f) => f.map.kind === 'token-mean' && f.fit === fit)?.map ??
    fitMap({ kind: 'token-mean' }, await work.data(fit), work.context(fit, 'token-mean'))
  );
}

/** Safe and bad texts apart; where there is no tag, `safe` holds the one figure. Empty groups are left out. */
export function figureGroups({ rows, split, general, outOfDomain }: MapTexts): FigureGroups {
  const named = (groups: Readonly<Record<string, readonly PairedText[]>>) =>
    Object.fromEntries(Object.entries(groups).filter(([, texts]) => texts.length > 0));
  const bySafety = (name: 'validation' | 'test') =>
    rows.length === 0
      ? named({ safe: general[name] })
      : named({
          safe: split[name].filter((t) => t.label === 'safe'),
          bad: split[name].filter((t) => t.label === 'bad'),
        });
  return {
    validation: bySafety('validation'),
    test: bySafety('test'),
    out_of_domain: named({ safe: outOfDomain }),
  };
}

/** What {@link measureMaps} measures, and on what. */
interface MapMeasurement {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  readonly groups: FigureGroups;
  /** By the caller's names, all from one block of `source` to one block of `target`. */
  readonly maps: Readonly<Record<string, ActivationMap>>;
  /** Without it, what needs a lookup by token is left out. */
  readonly tokenMean?: ActivationMap | undefined;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
}

/** Figures of maps under their names. */
export async function measureMaps({
  source,
  target,
  groups,
  maps,
  tokenMean,
  reading,
  env,
}: MapMeasurement): Promise<Readonly<Record<string, SplitFigures>>> {
  const out = Object.fromEntries(Object.keys(maps).map((name) => [name, {}]));
  for (const [split, bySafety] of Object.entries(groups))
    for (const [safety, texts] of Object.entries(bySafety)) {
      const found = await mapFigures({
        source: source.decoder,
        target: target.decoder,
        texts,
        maps,
        tokenMean,
        forced: split === 'validation' ? 0 : reading.forced,
        rng: env.rng.fork(`figures ${split} ${safety}`),
        resamples: reading.bootstrap,
        batch: reading.batch,
        sinkRatio: reading.sink_ratio,
        signal: env.signal,
        onProgress: env.progress,
        stage: `figures ${split}`,
      });
      for (const [name, figures] of Object.entries(found))
        ((out[name] as Record<string, Record<string, MapFigures>>)[split] ??= {})[safety] = figures;
    }
  return out;
}

/** A map's entry in `results.json`. */
export function mapEntry(map: ActivationMap, figures: SplitFigures = {}): MapEntry {
  const { rows, fitSeconds, settings, curves } = map.record;
  return {
    parameters: map.parameters,
    rows,
    fit_seconds: fitSeconds,
    settings: { ...settings },
    curves,
    ...figures,
  };
}

/** kl_div over steps, for the kinds that have steps. */
async function curves(
  work: MapWork,
  fit: MapFit,
  kind: MapSettings['kind'],
): Promise<Pick<FitContext, 'evaluate'>> {
  if (kind !== 'affine-sgd' && kind !== 'autoencoder') return {};
  const { source, target } = work.context(fit, kind);
  const { split, general } = work.texts;
  const texts = split.validation.length > 0 ? split.validation : general.validation;
  return {
    evaluate: await curveEvaluator({
      source: work.sourceOf(fit),
      target: work.pair.target,
      texts: texts.slice(0, CURVE_TEXTS),
      ends: { source, target },
      signal: work.env.signal,
    }),
  };
}

/** Where a map is fitted on a part of its fit's rows, or on general text besides. */
function drawnOf(map: MapSettings): DrawnRows | undefined {
  if (!('general_share' in map)) return undefined;
  const { general_share, rows } = map;
  return general_share === 0 && rows === undefined ? undefined : { general_share, rows };
}

const NOT_OF_FITS: ReadonlySet<string> = new Set(['fits', 'name', 'general_share', 'rows']);

function fitSettings(map: MapSettings): FitSettings {
  return Object.fromEntries(
    Object.entries(map).filter(([key]) => !NOT_OF_FITS.has(key)),
  ) as unknown as FitSettings;
}
