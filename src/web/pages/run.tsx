/** @file Run: the stages as a graph filling up live, rates and time left, the log, figures as they come, the verdict. */
import { lazy, type ReactNode, Suspense, type UIEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { BehaviourResults, Manifest } from '../../contracts/index.ts';
import type { RunDetail, RunEvents } from '../../server/index.ts';
import { api, ofRun, useAsk, useEvents } from '../client.ts';
import { clock, distinct, moment, Problem, Status } from '../parts.tsx';
import { LineChart } from '../plot.tsx';
import { brief, duration, fold, NOTHING, type RunProgress, type StageView, stageViews } from '../progress.ts';
import { pathTo, useQuery } from '../router.ts';
import { StageGraph } from '../stage-graph.tsx';
import { Name } from '../text.tsx';
import { VerdictSection } from '../verdict.tsx';

const FiguresOf = lazy(() => import('../figures-of.tsx'));

/** After this many milliseconds without news a running run looks dead. */
const SILENT_MS = 90_000;

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

function Head(props: {
  readonly run: string;
  readonly detail: RunDetail;
  readonly manifest: Manifest;
  readonly connected: boolean;
  readonly progress: RunProgress;
}): ReactNode {
  const { run, detail, manifest, connected, progress } = props;
  const now = useNow(manifest.status === 'running');
  const end = manifest.finished_at ? Date.parse(manifest.finished_at) : now;
  const seconds = Math.max(0, (end - Date.parse(manifest.started_at)) / 1000);
  const silent = manifest.status === 'running' && progress.lastAt > 0 && now - progress.lastAt > SILENT_MS;
  return (
    <>
      <div className="row">
        <h1>
          <Name>{run}</Name>
        </h1>
        <Status>{manifest.status}</Status>
      </div>
      <p className="soft">
        {manifest.name === run ? null : (
          <>
            <Name>{manifest.name}</Name> ·{' '}
          </>
        )}
        {moment(manifest.started_at)} · {duration(seconds)}
        {manifest.models.length > 0 ? (
          <>
            {' · '}
            <Name>{manifest.models.map((model) => model.name).join(' → ')}</Name>
          </>
        ) : null}
        {manifest.status === 'running' ? (connected ? ' · live' : ' · connecting…') : null}
      </p>
      {manifest.error ? <Problem>{manifest.error}</Problem> : null}
      {silent ? (
        <p className="problem" role="status">
          No news for {duration((now - progress.lastAt) / 1000)}. If the run was killed, start it again with
          the same command: it goes on where it was.
        </p>
      ) : null}
      <p className="actions">
        {detail.has.samples ? <a href={pathTo({ page: 'samples', run })}>samples</a> : null}
        {detail.has.results ? <a href={pathTo({ page: 'map', run })}>map</a> : null}
        {detail.has.report ? (
          <a href={`/api/runs/${encodeURIComponent(run)}/report`} target="_blank" rel="noreferrer">
            report
          </a>
        ) : null}
      </p>
    </>
  );
}

function useNow(on: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

function Stages({
  manifest,
  progress,
}: {
  readonly manifest: Manifest;
  readonly progress: RunProgress;
}): ReactNode {
  const [get, set] = useQuery();
  const views = useMemo(() => stageViews(manifest, progress), [manifest, progress]);
  const done = views.filter((view) => view.share === 1).length;
  const chosen = views.find((view) => view.id === get('stage'));
  const running = views.filter((view) => view.status === 'running');
  return (
    <section aria-labelledby="stages">
      <h2 id="stages">
        Stages <span className="soft">{`${done} of ${views.length} finished`}</span>
      </h2>
      {running.length > 0 ? (
        <ul className="now" aria-label="Running now">
          {running.map((view) => (
            <li key={view.id}>
              <Name>{view.id}</Name> <span className="soft">{view.text}</span>
              <progress
                {...(view.share === undefined ? {} : { value: view.share })}
                max={1}
                aria-label={`${view.id}: ${view.text}`}
              />
            </li>
          ))}
        </ul>
      ) : null}
      <StageGraph views={views} chosen={chosen?.id} onChoose={(id) => set({ stage: id || undefined })} />
      {chosen ? (
        <StageDetail view={chosen} progress={progress} onClose={() => set({ stage: undefined })} />
      ) : null}
      {chosen ? null : running.map((view) => <Curves key={view.id} view={view} />)}
    </section>
  );
}

function StageDetail(props: {
  readonly view: StageView;
  readonly progress: RunProgress;
  readonly onClose: () => void;
}): ReactNode {
  const { view, progress, onClose } = props;
  const lines = progress.lines.filter((line) => line.stage === view.id).slice(-8);
  return (
    <section className="card" aria-label={`Stage ${view.id}`}>
      <div className="row">
        <h3>
          <Name>{view.id}</Name>
        </h3>
        <Status>{view.status}</Status>
        <button type="button" onClick={onClose}>
          close
        </button>
      </div>
      <p>
        {view.text}
        {view.needs.length > 0 ? <span className="soft"> · after {view.needs.join(', ')}</span> : null}
      </p>
      {view.error ? <Problem>{view.error}</Problem> : null}
      <Curves view={view} />
      {lines.map((line) => (
        <p key={line.key} className="soft">
          {clock(line.time)} <Name>{line.text}</Name>
        </p>
      ))}
    </section>
  );
}

/** Rates and time left stand in words beside the stage. */
const IN_WORDS = /_per_second$|^seconds_left$/;

/** What a stage reports while it works, drawn as it comes. */
function Curves({ view }: { readonly view: StageView }): ReactNode {
  const curve = view.progress?.curve ?? [];
  const names = [...new Set(curve.flatMap((point) => Object.keys(point.figures)))].filter(
    (name) => !IN_WORDS.test(name),
  );
  if (curve.length < 2 || names.length === 0) return null;
  return (
    <div className="charts">
      {names.map((name) => (
        <LineChart
          key={name}
          title={`${view.id}: ${name} ${brief(view.progress?.figures[name] ?? 0)}`}
          xLabel={view.progress?.unit ?? 'done'}
          lines={[
            {
              label: name,
              points: curve.flatMap((p) =>
                p.figures[name] === undefined ? [] : [{ x: p.done, y: p.figures[name] }],
              ),
            },
          ]}
        />
      ))}
    </div>
  );
}

function Log(props: { readonly progress: RunProgress; readonly isOver: boolean }): ReactNode {
  const { progress, isOver } = props;
  return (
    <details open={!isOver} className="chapter">
      <summary>
        <h2 id="log">Log</h2>
      </summary>
      {progress.lines.length === 0 ? (
        <p className="empty">Nothing has been logged yet.</p>
      ) : (
        <LogLines progress={progress} />
      )}
    </details>
  );
}

function LogLines({ progress }: { readonly progress: RunProgress }): ReactNode {
  const box = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  const { count } = progress;
  useEffect(() => {
    const element = box.current;
    // Stay at the end, unless the reader has scrolled up.
    if (count > 0 && element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [count]);
  const onScroll = ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }: UIEvent) => {
    atEnd.current = scrollHeight - scrollTop - clientHeight < 40;
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section ref={box} className="log" onScroll={onScroll} tabIndex={0} aria-label="Log lines">
      {progress.lines.slice(-500).map((line) => (
        <div key={line.key} className={line.failed ? 'failed' : ''}>
          <time dateTime={line.time}>{clock(line.time)}</time> <Name>{line.stage}</Name>:{' '}
          <Name>{line.text.slice(0, 2000)}</Name>
        </div>
      ))}
    </section>
  );
}

function Figures(props: {
  /** The run whose samples are drawn too; undefined where it has none. */
  readonly run: string | undefined;
  readonly behaviours: readonly BehaviourResults[];
  readonly fresh: number;
}): ReactNode {
  const { run, behaviours, fresh } = props;
  const [get, set] = useQuery();
  const label = (i: number) => `${behaviours[i]?.pair.behaviour}, ${behaviours[i]?.pair.placement}`;
  const chosen = Math.min(Number(get('behaviour') ?? 0) || 0, behaviours.length - 1);
  const behaviour = behaviours[chosen];
  const keys = distinct(behaviours.map((_, i) => label(i)));
  return (
    <section aria-labelledby="figures">
      <h2 id="figures">Figures</h2>
      {behaviour ? (
        <>
          {behaviours.length > 1 ? (
            <fieldset className="tabs">
              <legend className="hidden">Behaviour</legend>
              {behaviours.map((_, i) => (
                <button
                  key={keys[i]}
                  type="button"
                  aria-pressed={i === chosen}
                  onClick={() => set({ behaviour: String(i) })}
                >
                  <Name>{label(i)}</Name>
                </button>
              ))}
            </fieldset>
          ) : null}
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
