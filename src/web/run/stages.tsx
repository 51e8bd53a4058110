/** @file The stages of a run: what runs now, all of them as a graph, the chosen one in detail. */
import { type ReactNode, useMemo } from 'react';
import type { Manifest } from '../../contracts/index.ts';
import { clock, Problem, Status } from '../parts.tsx';
import { LineChart } from '../plot.tsx';
import { brief, type RunProgress, type StageView, stageViews } from '../progress.ts';
import { useQuery } from '../router.ts';
import { StageGraph } from '../stage-graph.tsx';
import { Name } from '../text.tsx';

/** See the file's head. */
export function Stages({
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
              <progress value={view.share} max={1} aria-label={`${view.id}: ${view.text}`} />
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
