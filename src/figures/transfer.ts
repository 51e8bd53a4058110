/** @file Does the map carry the fix? Every arm of the headline map (the blog's Fig. 8 with its controls), and all maps and fits beside each other. */
import type { BehaviourResults, Outcome, Rate, TransferArm, TransferEntry } from '../contracts/index.ts';
import { type Bar, barPanel, type Rule, splitWidth } from './bars.ts';
import { headline, type TransferCase, transferCases } from './cases.ts';
import { FIT_LABEL, nthStyle, TRANSFER_STYLE } from './palette.ts';
import { chunk, nText, toRow } from './records.ts';
import { type DataRow, type FigureSpec, NARROW, type PatternFill } from './spec.ts';

const MEASURES = ['restoration', 'removal', 'elicitation'] as const;
type Measure = (typeof MEASURES)[number];
const ARMS = Object.keys(TRANSFER_STYLE) as TransferArm[];

/** Bars of every arm for the headline map. */
export function transferFigure(behaviour: BehaviourResults): FigureSpec | null {
  const chosen = headline(behaviour);
  return chosen && armsFigure(behaviour, chosen, '');
}

/** Bars of every arm for each further map and fit, and for the other mode of each that has one. */
export function otherTransferFigures(behaviour: BehaviourResults): FigureSpec[] {
  const chosen = headline(behaviour);
  return transferCases(behaviour).flatMap((c) => {
    const isShown = chosen?.kind === c.kind && chosen.fit === c.fit;
    const { add } = c.entry;
    return [
      ...(isShown ? [] : [armsFigure(behaviour, c, `-${c.kind}-${c.fit}`)]),
      ...(add
        ? [armsFigure(behaviour, { ...c, entry: { mode: 'add', ...add } }, `-${c.kind}-${c.fit}-add`)]
        : []),
    ];
  });
}

function armsFigure(
  { pair }: BehaviourResults,
  { kind, fit, entry }: TransferCase,
  suffix: string,
): FigureSpec {
  const { arms, alpha, mode } = entry;
  const shown = ARMS.filter((arm) => arms[arm]);
  const measures = MEASURES.filter((m) => shown.some((arm) => arms[arm]?.[m]));
  const noise = shown.some((arm) => TRANSFER_STYLE[arm].role === 'noise');
  return {
    id: `${pair.behaviour}-${pair.placement}-transfer${suffix}`,
    title: `Steering transfer, ${kind} map (${FIT_LABEL[fit]})${mode === 'add' ? ', difference added' : ''}: every arm`,
    caption:
      `Share of prompts, ${nText(shown.flatMap((arm) => [arms[arm]?.restoration, arms[arm]?.elicitation]))}; whiskers 95 % (Wilson); mode ${mode}, α = ${alpha}. ` +
      'Solid: steered. Green lines: positive controls, expected to work. Dots: the error of the map alone. ' +
      (noise
        ? 'Grey hatching: noise; a result counts only above the longest grey bar.'
        : 'The noise controls of this run stand with the other maps.'),
    rows: shown.flatMap((arm) => armRows({ map: kind, fit, mode, arm }, arms[arm] ?? {})),
    layout: (width, fill) =>
      measureLayout(
        width,
        measures.map((measure) => ({
          title: measure,
          bars: shown.map((arm) => bar(TRANSFER_STYLE[arm].label, TRANSFER_STYLE[arm], arms[arm]?.[measure])),
        })),
        fill,
      ),
  };
}

/** What is shown of every map and fit; the first three are the blog's chain of Fig. 8. */
const CHAIN = {
  trigger: { title: 'trigger rate', pick: (e) => e.trigger_rate },
  native: { title: 'native steering', pick: (e) => e.steering_success_rate ?? e.arms.native?.removal },
  transfer: { title: 'transfer rate', pick: (e) => e.transfer_rate },
  restoration: { title: 'restoration', pick: (e) => e.arms.mapped?.restoration },
  removal: { title: 'removal', pick: (e) => e.arms.mapped?.removal },
  elicitation: { title: 'elicitation', pick: (e) => e.arms.mapped?.elicitation },
} as const satisfies Record<string, { title: string; pick: (entry: TransferEntry) => Rate | undefined }>;
const LEVELS: Partial<Record<keyof typeof CHAIN, Measure>> = {
  transfer: 'removal',
  restoration: 'restoration',
  removal: 'removal',
  elicitation: 'elicitation',
};

/** The chain trigger → native steering → transfer of every map and fit, against the native vector and the strongest noise (levels). */
export function transferMapsFigure(behaviour: BehaviourResults): FigureSpec | null {
  const cases = transferCases(behaviour).filter((c) => c.entry.arms.mapped);
  if (cases.length === 0) return null;
  const steps = (Object.keys(CHAIN) as (keyof typeof CHAIN)[]).filter((step) =>
    cases.some((c) => CHAIN[step].pick(c.entry)),
  );
  const kinds = [...new Set(cases.map((c) => c.kind))];
  const inverse = Object.entries(behaviour.inverse ?? {}).flatMap(([name, entry]) =>
    entry ? [{ name: `inverse ${name.replaceAll('_', ' ')}`, entry }] : [],
  );
  const ofInverse = (entry: Outcome, step: keyof typeof CHAIN) =>
    step === 'restoration' || step === 'removal' || step === 'elicitation' ? entry[step] : undefined;
  return {
    id: `${behaviour.pair.behaviour}-${behaviour.pair.placement}-transfer-maps`,
    title: 'Every map and every fit: from the trigger to the transfer',
    caption:
      `Share of prompts, ${nText(cases.map((c) => c.entry.arms.mapped?.restoration))}; whiskers 95 % (Wilson). Trigger rate: the target’s backdoor; native steering: its own vector removes the behaviour; ` +
      'transfer rate: of those, the mapped vector removes it too (the blog’s nested figure; removal alone is weak evidence where noise removes). ' +
      '“no tag rows” never saw a tag token in its fit; “clean source” starts from the source before its fine-tune: if it carries the fix too, the source’s backdoor was not what was carried.' +
      (inverse.length > 0 ? ' “inverse” bars carry the fix back, target → source.' : ''),
    rows: [
      ...cases.flatMap((c) =>
        steps.flatMap((step) => {
          const rate = CHAIN[step].pick(c.entry);
          return rate ? [{ map: c.kind, fit: c.fit, measure: CHAIN[step].title, ...toRow(rate) }] : [];
        }),
      ),
      ...inverse.flatMap(({ name, entry }) => armRows({ map: name, fit: null }, entry)),
      ...steps.flatMap((step) =>
        levels(cases, LEVELS[step]).map(
          ({ label, rate }): DataRow => ({
            map: label,
            fit: null,
            measure: CHAIN[step].title,
            ...toRow(rate),
          }),
        ),
      ),
    ],
    layout: (width, fill) => {
      const layout = measureLayout(
        width,
        steps.map((step) => ({
          title: CHAIN[step].title,
          rules: levels(cases, LEVELS[step]).map(({ rate, style }) => ({ at: rate.value, style })),
          bars: [
            ...cases.map((c) =>
              bar(
                `${c.kind}, ${FIT_LABEL[c.fit]}`,
                nthStyle(kinds.indexOf(c.kind)),
                CHAIN[step].pick(c.entry),
              ),
            ),
            ...inverse.map(({ name, entry }) => bar(name, TRANSFER_STYLE.static, ofInverse(entry, step))),
          ],
        })),
        fill,
      );
      const lines = levels(cases, 'restoration').map(({ label, style }) => ({
        label,
        as: 'level' as const,
        style,
      }));
      return { ...layout, legend: lines };
    },
  };
}

/** Native and strongest noise of one measure; the records behind them are drawn in full arm by arm. */
function levels(cases: readonly TransferCase[], measure: Measure | undefined) {
  const strongest = (wanted: (arm: TransferArm) => boolean): Rate | undefined =>
    cases
      .flatMap((c) => ARMS.filter(wanted).flatMap((arm) => (measure && c.entry.arms[arm]?.[measure]) ?? []))
      .sort((a, b) => b.value - a.value)[0];
  const native = strongest((arm) => arm === 'native');
  const noise = strongest((arm) => TRANSFER_STYLE[arm].role === 'noise');
  return [
    ...(native ? [{ label: 'native vector', rate: native, style: TRANSFER_STYLE.native }] : []),
    ...(noise ? [{ label: 'strongest noise of any map', rate: noise, style: TRANSFER_STYLE.shuffled }] : []),
  ];
}

/** Panels at most side by side. */
const ACROSS = 3;

function measureLayout(
  width: number,
  measures: readonly { readonly title: string; readonly bars: Bar[]; readonly rules?: Rule[] }[],
  fill: PatternFill,
) {
  const across = width < NARROW ? 1 : Math.min(ACROSS, measures.length);
  const { first, other } = splitWidth(width, across);
  // Rows that no panel side by side has a figure for would only be empty.
  const rowsOf = chunk(measures, across).flatMap((group) => {
    const shown = (k: number) => group.some(({ bars }) => bars[k]?.figure !== null);
    return group.map(({ bars }) => bars.filter((_, k) => shown(k)));
  });
  const panels = measures.map(({ title, rules = [] }, i) =>
    barPanel({
      title: `${title}, %`,
      width: across === 1 ? width : i % across === 0 ? first : other,
      labels: i % across === 0,
      bars: rowsOf[i] ?? [],
      rules,
      fill,
    }),
  );
  return { legend: [], rows: chunk(panels, across) };
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
