/** @file Does the map carry the fix? Every arm of the headline map (the blog's Fig. 8 with its controls), and all maps and fits beside each other. */
import type { BehaviourResults, MapFit, Outcome, TransferArm, TransferEntry } from '../contracts/index.ts';
import { type Bar, barPanel, type Rule, splitWidth } from './bars.ts';
import { FIT_LABEL, nthStyle, TRANSFER_STYLE } from './palette.ts';
import { nText, toRow } from './records.ts';
import { type DataRow, type FigureSpec, NARROW, type PatternFill } from './spec.ts';

const MEASURES = ['restoration', 'removal', 'elicitation'] as const;
type Measure = (typeof MEASURES)[number];
const ARMS = Object.keys(TRANSFER_STYLE) as TransferArm[];
const FITS = Object.keys(FIT_LABEL) as MapFit[];

/** A map and a fit with its transfer figures. */
export interface TransferCase {
  readonly kind: string;
  readonly fit: MapFit;
  readonly entry: TransferEntry;
}

/** All maps × fits that were evaluated for transfer, in the order of the record. */
export function transferCases({ transfer }: BehaviourResults): TransferCase[] {
  return Object.entries(transfer ?? {}).flatMap(([kind, fits]) =>
    FITS.flatMap((fit) => (fits[fit] ? [{ kind, fit, entry: fits[fit] }] : [])),
  );
}

/** The map the verdict speaks of: `affine` fitted with tags, else the fit with the best restoration. */
export function headline(behaviour: BehaviourResults): TransferCase | null {
  const cases = transferCases(behaviour).filter((c) => c.entry.arms.mapped);
  const restoration = (c: TransferCase) => c.entry.arms.mapped?.restoration?.value ?? -1;
  return (
    cases.find((c) => c.kind === 'affine' && c.fit === 'with_tags') ??
    cases.sort((a, b) => restoration(b) - restoration(a))[0] ??
    null
  );
}

/** Bars of every arm for the headline map. */
export function transferFigure(behaviour: BehaviourResults): FigureSpec | null {
  const chosen = headline(behaviour);
  if (!chosen) return null;
  const { arms, alpha, mode } = chosen.entry;
  const shown = ARMS.filter((arm) => arms[arm]);
  const measures = MEASURES.filter((m) => shown.some((arm) => arms[arm]?.[m]));
  return {
    id: `${behaviour.pair.behaviour}-${behaviour.pair.placement}-transfer`,
    title: `Steering transfer, ${chosen.kind} map (${FIT_LABEL[chosen.fit]}): every arm`,
    caption:
      `Share of prompts, ${nText(shown.flatMap((arm) => [arms[arm]?.restoration, arms[arm]?.elicitation]))}; whiskers 95 % (Wilson); mode ${mode}, α = ${alpha}. ` +
      'Solid: steered. Green lines: positive controls, expected to work. Dots: the error of the map alone. Grey hatching: noise; a result counts only above the longest grey bar.',
    rows: shown.flatMap((arm) => armRows({ map: chosen.kind, fit: chosen.fit, arm }, arms[arm] ?? {})),
    layout: (width, fill) =>
      measureLayout(width, measures, fill, (measure) =>
        shown.map((arm) => bar(TRANSFER_STYLE[arm].label, TRANSFER_STYLE[arm], arms[arm]?.[measure])),
      ),
  };
}

/** Mapped arm of every map and fit, against the native vector and the strongest noise (levels). */
export function transferMapsFigure(behaviour: BehaviourResults): FigureSpec | null {
  const cases = transferCases(behaviour).filter((c) => c.entry.arms.mapped);
  if (cases.length < 2) return null;
  const measures = MEASURES.filter((m) => cases.some((c) => c.entry.arms.mapped?.[m]));
  const kinds = [...new Set(cases.map((c) => c.kind))];
  const inverse = Object.entries(behaviour.inverse ?? {}).flatMap(([name, entry]) =>
    entry ? [{ name, entry }] : [],
  );
  return {
    id: `${behaviour.pair.behaviour}-${behaviour.pair.placement}-transfer-maps`,
    title: 'Every map and every fit, mapped arm',
    caption:
      `Share of prompts, ${nText(cases.map((c) => c.entry.arms.mapped?.restoration))}; whiskers 95 %. Blue line: the target’s own (native) vector; grey dashed line: the strongest noise arm of any map. ` +
      '“no tag rows” never saw a tag token in its fit; “clean source” starts from the source before its fine-tune: if it carries the fix too, the source’s backdoor was not what was carried.' +
      (inverse.length > 0 ? ' “inverse” bars carry the fix back, target → source.' : ''),
    rows: [
      ...cases.flatMap((c) => armRows({ map: c.kind, fit: c.fit, arm: 'mapped' }, c.entry.arms.mapped ?? {})),
      ...inverse.flatMap(({ name, entry }) =>
        armRows({ map: `inverse.${name}`, fit: null, arm: 'mapped' }, entry),
      ),
    ],
    layout: (width, fill) =>
      measureLayout(
        width,
        measures,
        fill,
        (measure) => [
          ...cases.map((c) =>
            bar(
              `${c.kind}, ${FIT_LABEL[c.fit]}`,
              nthStyle(kinds.indexOf(c.kind)),
              c.entry.arms.mapped?.[measure],
            ),
          ),
          ...inverse.map(({ name, entry }) =>
            bar(`inverse ${name.replaceAll('_', ' ')}`, TRANSFER_STYLE.static, entry[measure]),
          ),
        ],
        (measure) => levels(cases, measure),
      ),
  };
}

/** Native and strongest noise of one measure, as rules; the records behind them are drawn in full by {@link transferFigure}. */
function levels(cases: readonly TransferCase[], measure: Measure) {
  const values = (wanted: (arm: TransferArm) => boolean) =>
    cases.flatMap((c) => ARMS.filter(wanted).flatMap((arm) => c.entry.arms[arm]?.[measure]?.value ?? []));
  const native = values((arm) => arm === 'native');
  const noise = values((arm) => TRANSFER_STYLE[arm].role === 'noise');
  return [
    ...(native.length > 0 ? [{ at: Math.max(...native), style: TRANSFER_STYLE.native }] : []),
    ...(noise.length > 0 ? [{ at: Math.max(...noise), style: TRANSFER_STYLE.shuffled }] : []),
  ];
}

function measureLayout(
  width: number,
  measures: readonly Measure[],
  fill: PatternFill,
  bars: (measure: Measure) => Bar[],
  rules: (measure: Measure) => Rule[] = () => [],
) {
  const stacked = width < NARROW;
  const { first, other } = splitWidth(width, measures.length);
  const panels = measures.map((measure, i) =>
    barPanel({
      title: `${measure}, %`,
      width: stacked ? width : i === 0 ? first : other,
      labels: stacked || i === 0,
      bars: bars(measure),
      rules: rules(measure),
      fill,
    }),
  );
  return { legend: [], rows: stacked ? panels.map((p) => [p]) : [panels] };
}

function bar(label: string, style: Bar['style'], figure: Bar['figure'] | undefined): Bar {
  return { label, style, figure: figure ?? null };
}

function armRows(head: DataRow, outcome: Outcome): DataRow[] {
  return MEASURES.flatMap((measure) => {
    const rate = outcome[measure];
    return rate ? [{ ...head, measure, ...toRow(rate) }] : [];
  });
}
