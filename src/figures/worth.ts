/** @file Is the map worth it? Restoration by the target's own vector from k labelled prompts, against the mapped one, which needs none. */
import type { BehaviourResults, Rate } from '../contracts/index.ts';
import { headline } from './cases.ts';
import { linePanel } from './lines.ts';
import { nthStyle, TRANSFER_STYLE } from './palette.ts';
import { nText, toRow } from './records.ts';
import { alone, type DataRow, type FigureSpec, NARROW, type SeriesStyle } from './spec.ts';

const STRIP: SeriesStyle = { color: 'currentColor', dash: '1,3', symbol: 'plus', pattern: 'outline' };

const ASKED: SeriesStyle = { color: 'currentColor', dash: '6,3', symbol: 'cross', pattern: 'outline' };
/** The target fine-tuned on the same prompts. */
const REPAIR: SeriesStyle = nthStyle(3);

/** Null when no k was tried. */
export function worthFigure(behaviour: BehaviourResults): FigureSpec | null {
  const rows = [...(behaviour.worth ?? [])].sort((a, b) => a.k - b.k);
  if (rows.length === 0) return null;
  const arms = headline(behaviour)?.entry.arms;
  const noise = (['random', 'random_cov', 'random_step', 'shuffled'] as const)
    .flatMap((arm) => arms?.[arm]?.restoration ?? [])
    .sort((a, b) => b.value - a.value)[0];
  const mapped = rows.find((row) => row.mapped_restoration)?.mapped_restoration ?? arms?.mapped?.restoration;
  const levels: { label: string; rate: Rate | undefined; style: SeriesStyle }[] = [
    { label: 'strongest noise', rate: noise, style: TRANSFER_STYLE.shuffled },
    { label: 'trigger cut out (must be known)', rate: behaviour.strip_trigger, style: STRIP },
    { label: 'asked in words', rate: behaviour.asked?.restoration, style: ASKED },
  ].filter((level) => level.rate);
  const ks = rows.map((row) => row.k);
  const repaired = rows.flatMap(({ k, repair_restoration: r }) => (r === undefined ? [] : [{ k, r }]));
  return {
    id: `${behaviour.pair.behaviour}-${behaviour.pair.placement}-worth`,
    title: 'Is it worth it? Labelled prompts of the target against none',
    caption:
      `Restoration on test prompts, ${nText([...rows.map((r) => r.native_restoration), mapped])}; bands 95 % (Wilson). ` +
      'Blue: the target’s own vector from k labelled contrast prompts. Orange: the mapped one, which needs none.' +
      (repaired.length > 0 ? ' Beside them the target fine-tuned by LoRA on the same k prompts.' : ''),
    rows: [
      ...rows.map((row): DataRow => ({ k: row.k, arm: 'native', ...toRow(row.native_restoration) })),
      ...repaired.map(({ k, r }): DataRow => ({ k, arm: 'repair', ...toRow(r) })),
      ...(mapped ? [{ k: null, arm: 'mapped', ...toRow(mapped) }] : []),
      ...levels.map(({ label, rate }): DataRow => ({ k: null, arm: label, ...toRow(rate!) })),
    ],
    layout: (width) => ({
      legend: [
        { label: 'native from k prompts', as: 'line', style: TRANSFER_STYLE.native },
        ...(repaired.length > 0 ? [{ label: 'LoRA on k prompts', as: 'line' as const, style: REPAIR }] : []),
        ...(mapped ? [{ label: 'mapped, k = 0', as: 'level' as const, style: TRANSFER_STYLE.mapped }] : []),
        ...levels.map(({ label, style }) => ({ label, as: 'level' as const, style })),
      ],
      rows: alone(
        linePanel({
          title: 'restoration',
          width: width < NARROW ? width : Math.min(width, 560),
          height: 210,
          xLabel: 'k labelled prompts',
          xType: 'point',
          percent: true,
          lines: [
            ...(mapped
              ? [
                  {
                    style: TRANSFER_STYLE.mapped,
                    interval: 'band' as const,
                    symbols: false,
                    points: ks.map((x) => ({ x, y: mapped.value, lo: mapped.ci95[0], hi: mapped.ci95[1] })),
                  },
                ]
              : []),
            ...(repaired.length > 0
              ? [
                  {
                    style: REPAIR,
                    interval: 'band' as const,
                    points: repaired.map(({ k, r }) => ({ x: k, y: r.value, lo: r.ci95[0], hi: r.ci95[1] })),
                  },
                ]
              : []),
            {
              style: TRANSFER_STYLE.native,
              interval: 'band' as const,
              points: rows.map(({ k, native_restoration: r }) => ({
                x: k,
                y: r.value,
                lo: r.ci95[0],
                hi: r.ci95[1],
              })),
            },
          ],
          levels: levels.map(({ rate, style }) => ({ y: rate!.value, style })),
        }),
      ),
    }),
  };
}
