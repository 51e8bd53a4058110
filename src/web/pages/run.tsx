/** @file Run: the stages as a graph filling up live, rates and time left, the log, figures as they come, the verdict. */
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from 'react';
import type { BehaviourResults, Manifest } from '../../contracts/index.ts';
import type { RunEvents } from '../../server/index.ts';
import { BehaviourTabs } from '../behaviour-tabs.tsx';
import { api, ofRun, useAsk, useEvents } from '../client.ts';
import { Problem } from '../parts.tsx';
import { fold, NOTHING, type RunProgress } from '../progress.ts';
import { useQuery } from '../router.ts';
import { Head } from '../run/head.tsx';
import { Log } from '../run/log.tsx';
import { Stages } from '../run/stages.tsx';
import { Name } from '../text.tsx';
import { VerdictSection } from '../verdict.tsx';

const FiguresOf = lazy(() => import('../figures-of.tsx'));

export default function RunPage({ run }: { readonly run: string }): ReactNode {
  const [fresh, setFresh] = useState(0);
  const { data: detail, error } = useAsk(api.runs[':run'], ofRun(run), fresh);
  const results = useAsk(api.runs[':run'].results, detail?.has.results ? ofRun(run) : undefined, fresh);
  const live = useLive(api.runs[':run'].events.$url(ofRun(run)).pathname, () => setFresh((n) => n + 1));
  const manifest = live.manifest ?? detail?.manifest;
  if (error)
    return (
      <>
        <h1>
          <Name>{run}</Name>
        </h1>
        <Problem>{error}</Problem>
      </>
    );
  if (!manifest || !detail) return <p className="soft">Loading…</p>;
  const behaviours = results.data?.results.behaviours ?? [];
  // While it goes on, where it is comes first; afterwards, what it found.
  const isOver = manifest.status !== 'running' && behaviours.length > 0;
  const figures = (
    <Figures run={detail.has.samples ? run : undefined} behaviours={behaviours} fresh={fresh} />
  );
  return (
    <>
      <Head
        run={run}
        detail={detail}
        manifest={manifest}
        connected={live.connected}
        progress={live.progress}
      />
      {results.error ? <Problem>{results.error}</Problem> : null}
      {results.data && !results.data.partial ? <VerdictSection verdicts={results.data.verdicts} /> : null}
      {isOver ? figures : null}
      <Stages manifest={manifest} progress={live.progress} />
      <Log progress={live.progress} isOver={isOver} />
      {isOver ? null : figures}
    </>
  );
}

interface Live {
  readonly manifest: Manifest | undefined;
  readonly progress: RunProgress;
  readonly connected: boolean;
}

/** The run as its events tell it; lines that come together are folded together. */
function useLive(path: string, onResults: () => void): Live {
  const [manifest, setManifest] = useState<Manifest>();
  const [progress, setProgress] = useState(NOTHING);
  const waiting = useRef<RunEvents['log'][]>([]);
  const frame = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(frame.current), []);
  const status = useRef<Manifest['status']>(undefined);
  const connected = useEvents(path, (name, data) => {
    if (name === 'manifest') {
      const next = data as Manifest;
      if (status.current !== undefined && status.current !== next.status) onResults();
      status.current = next.status;
      setManifest(next);
    }
    if (name === 'results') onResults();
    if (name === 'reset') {
      waiting.current = [];
      setProgress(NOTHING);
    }
    if (name !== 'log') return;
    waiting.current.push(data as RunEvents['log']);
    frame.current ??= setTimeout(() => {
      frame.current = undefined;
      const lines = waiting.current;
      waiting.current = [];
      setProgress((before) => fold(before, lines));
    }, 60);
  });
  return { manifest, progress, connected };
}

function Figures(props: {
  /** The run whose samples are drawn too; undefined where it has none. */
  readonly run: string | undefined;
  readonly behaviours: readonly BehaviourResults[];
  readonly fresh: number;
}): ReactNode {
  const { run, behaviours, fresh } = props;
  const [get, set] = useQuery();
  const chosen = Math.min(Number(get('behaviour') ?? 0) || 0, behaviours.length - 1);
  const behaviour = behaviours[chosen];
  return (
    <section aria-labelledby="figures">
      <h2 id="figures">Figures</h2>
      {behaviour ? (
        <>
          <BehaviourTabs
            behaviours={behaviours}
            chosen={chosen}
            onChoose={(i) => set({ behaviour: String(i) })}
          />
          <Suspense fallback={<p className="soft">Loading figures…</p>}>
            <FiguresOf
              behaviour={behaviour}
              drawn={run === undefined ? undefined : { ...ofRun(run), query: { behaviour: String(chosen) } }}
              fresh={fresh}
            />
          </Suspense>
        </>
      ) : (
        <p className="empty">
          Figures come as the stages finish. What a stage reports while it works is drawn above: choose it in
          the graph.
        </p>
      )}
    </section>
  );
}
