/** @file Progress of a job made of many loops, as one count: it never goes back, and its total only grows. */
import type { ProgressEvent, ProgressSink } from './progress.ts';

interface Series {
  /** Work of the rounds of this loop that are over. */
  finished: number;
  done: number;
  total: number | undefined;
}

/**
 * A sink for the reports of one job. Each loop in it (by `stage` and `unit`) counts its own rounds; what is passed on is the sum over all
 * loops: done so far, and all work known of so far. The unit is the loops' own while they count the same thing, else `steps`.
 *
 * @example const progress = steadyProgress(show); // 5/6, then 1/3 of the next loop → 5/6, then 7/9
 */
export function steadyProgress(sink: ProgressSink): ProgressSink {
  const all = new Map<string, Series>();
  const units = new Set<string | undefined>();
  return (event) => {
    const { done, total, unit } = event;
    const key = JSON.stringify([event.stage, unit]);
    const series = all.get(key) ?? { finished: 0, done: 0, total };
    all.set(key, series);
    units.add(unit);
    // The loop began again, perhaps over other work.
    if (done < series.done || total !== series.total) series.finished += series.total ?? series.done;
    series.done = done;
    series.total = total;
    sink({ ...event, ...sum([...all.values()]), unit: units.size === 1 ? unit : 'steps' });
  };
}

function sum(all: readonly Series[]): Pick<ProgressEvent, 'done' | 'total'> {
  const add = (of: (series: Series) => number) =>
    all.reduce((n, series) => n + series.finished + of(series), 0);
  return {
    done: add(({ done }) => done),
    total: all.some(({ total }) => total === undefined) ? undefined : add(({ total = 0 }) => total),
  };
}
