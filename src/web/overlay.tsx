/** @file Runs laid over one another in one chart. Loaded when runs are ticked: the drawing library is large. */
import { type ReactNode, useEffect, useMemo, useState } from 'react';
import type { BehaviourResults } from '../contracts/index.ts';
import { OVERLAY_MEASURES, overlayFigure } from '../figures/index.ts';
import { api, ofRun } from './client.ts';
import Figure from './figure.tsx';
import { Choice, Problem } from './parts.tsx';
import { useQuery } from './router.ts';
import { Name } from './text.tsx';

type Loaded = Readonly<Record<string, readonly BehaviourResults[] | string>>;

const label = ({ pair }: BehaviourResults) => `${pair.behaviour}, ${pair.placement}`;

export default function Overlay({ runs }: { readonly runs: readonly string[] }): ReactNode {
  const [get, set] = useQuery();
  const loaded = useResults(runs);
  const key = runs.join('\n');
  const known = useMemo(() => knownOf(key.split('\n'), loaded), [key, loaded]);
  const labels = [...new Set(known.flatMap(({ behaviours }) => behaviours.map(label)))];
  const behaviour = labels.find((one) => one === get('over')) ?? labels[0];
  const measure = OVERLAY_MEASURES.find((one) => one === get('measure')) ?? 'restoration';
  const spec = useMemo(() => {
    const items = known.flatMap(({ run, behaviours }) => {
      const found = behaviours.find((one) => label(one) === behaviour);
      return found ? [{ run, behaviour: found }] : [];
    });
    return overlayFigure(items, measure);
  }, [known, behaviour, measure]);
  return (
    <section aria-label="Runs over one another">
      <h2>Over one another</h2>
      <div className="filters">
        {labels.length > 1 && behaviour !== undefined ? (
          <Choice
            label="Behaviour"
            value={behaviour}
            options={labels.map((one) => [one, one] as const)}
            onChange={(next) => set({ over: next })}
          />
        ) : null}
        <Choice
          label="Measure"
          value={measure}
          options={OVERLAY_MEASURES.map((one) => [one, one] as const)}
          onChange={(next) => set({ measure: next === 'restoration' ? undefined : next })}
        />
      </div>
      {runs.map((run) => {
        const found = loaded[run];
        if (typeof found === 'string') return <Problem key={run}>{`${run}: ${found}`}</Problem>;
        return found?.every((one) => label(one) !== behaviour) ? (
          <p key={run} className="soft">
            <Name>{run}</Name> has no results of this behaviour.
          </p>
        ) : null;
      })}
      {spec ? (
        <Figure spec={spec} />
      ) : known.length === runs.length ? (
        <p className="empty">No run that is ticked has steered with a map yet.</p>
      ) : null}
    </section>
  );
}

/** Runs whose results are there. */
function knownOf(runs: readonly string[], loaded: Loaded) {
  return runs.flatMap((run) => {
    const found = loaded[run];
    return found === undefined || typeof found === 'string' ? [] : [{ run, behaviours: found }];
  });
}

/** Results of several runs by name, or why there are none; each is asked for once. */
function useResults(runs: readonly string[]): Loaded {
  const [loaded, setLoaded] = useState<Loaded>({});
  const key = runs.join('\n');
  useEffect(() => {
    const stop = new AbortController();
    for (const run of key.split('\n')) {
      if (run === '') continue;
      const ask = async () => {
        const init = { signal: stop.signal };
        const answer = await api.runs[':run'].results.$get(ofRun(run), { init });
        return (await answer.json()).results.behaviours as readonly BehaviourResults[];
      };
      ask().then(
        (behaviours) => setLoaded((before) => ({ ...before, [run]: behaviours })),
        (error: unknown) => {
          if (stop.signal.aborted) return;
          setLoaded((before) => ({
            ...before,
            [run]: error instanceof Error ? error.message : String(error),
          }));
        },
      );
    }
    return () => stop.abort();
  }, [key]);
  return loaded;
}
