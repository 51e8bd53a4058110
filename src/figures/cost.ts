/** @file What steering costs: capability tasks and teacher-forced KL in the states of docs/concepts/method.md#cost, random steering as the control. */
import type { BehaviourResults, CostState, Rate } from '../contracts/index.ts';
import { type Bar, barPanel, splitWidth } from './bars.ts';
import { STATE_STYLE } from './palette.ts';
import { chunk, nText, short, toRow } from './records.ts';
import { alone, type DataRow, type FigureSpec, NARROW } from './spec.ts';

const STATES = Object.keys(STATE_STYLE) as CostState[];
type States = Partial<Record<CostState, Rate | undefined>>;

/** Accuracy by state, one panel a task; null when no task was run. */
export function capabilitiesFigure({ pair, capabilities }: BehaviourResults): FigureSpec | null {
  const tasks = Object.entries(capabilities ?? {});
  if (tasks.length === 0) return null;
  const states = STATES.filter((state) => tasks.some(([, scores]) => scores[state]));
  return {
    id: `${pair.behaviour}-${pair.placement}-capabilities`,
    title: 'Capabilities of the target, state by state',
    caption:
      `Accuracy, ${nText(tasks.flatMap(([, scores]) => states.map((s) => scores[s])))} questions per bar; whiskers 95 % (Wilson). ` +
      'Line: the safe state, unpatched. “bad + random” is the control: what a step of that size costs by itself.' +
      (pair.behaviour === 'locked' ? ' Under “locked” the untagged state is neutral by design.' : ''),
    rows: tasks.flatMap(([task, scores]) => dataRows({ task }, scores)),
    layout: (width, fill) => {
      const perRow = width < NARROW ? 1 : Math.min(3, tasks.length);
      const { first, other } = splitWidth(width, perRow);
      const panels = tasks.map(([task, scores], i) => {
        const labels = i % perRow === 0;
        const safe = scores.safe?.value;
        return barPanel({
          title: `${task}, %`,
          width: perRow === 1 ? width : labels ? first : other,
          labels,
          bars: bars(states, scores),
          rules: safe === undefined ? [] : [{ at: safe, style: STATE_STYLE.safe }],
          fill,
        });
      });
      return { legend: [], rows: chunk(panels, perRow) };
    },
  };
}

/** KL by state; null when it was not measured. */
export function costKlFigure({ pair, cost_kl: kl }: BehaviourResults): FigureSpec | null {
  const states = STATES.filter((state) => kl?.[state]);
  if (!kl || states.length === 0) return null;
  const top = Math.max(...states.map((s) => kl[s]?.ci95[1] ?? 0), 1e-6);
  return {
    id: `${pair.behaviour}-${pair.placement}-cost-kl`,
    title: 'How far steering moves the next-token distribution',
    caption: `Teacher-forced KL to the unpatched model, nats per token, ${nText(states.map((s) => kl[s]))}; whiskers 95 % (bootstrap). Lower is better; “bad + random” is the control.`,
    rows: dataRows({ task: 'kl_div' }, kl),
    layout: (width, fill) => ({
      legend: [],
      rows: alone(
        barPanel({
          title: 'KL, nats per token',
          width: width < NARROW ? width : Math.min(width, 520),
          domain: [0, top],
          format: short,
          bars: bars(states, kl),
          fill,
        }),
      ),
    }),
  };
}

function bars(states: readonly CostState[], scores: States): Bar[] {
  return states.map((state) => ({
    label: STATE_STYLE[state].label,
    style: STATE_STYLE[state],
    figure: scores[state] ?? null,
  }));
}

function dataRows(head: DataRow, scores: States): DataRow[] {
  return STATES.flatMap((state) => {
    const rate = scores[state];
    return rate ? [{ ...head, state, ...toRow(rate) }] : [];
  });
}
