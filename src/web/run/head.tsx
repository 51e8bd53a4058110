/** @file The head of a run: its name and state, since when it runs, where its other pages are. */
import { type ReactNode, useEffect, useState } from 'react';
import type { Manifest } from '../../contracts/index.ts';
import type { RunDetail } from '../../server/index.ts';
import { moment, Problem, Status } from '../parts.tsx';
import { duration, type RunProgress } from '../progress.ts';
import { pathTo } from '../router.ts';
import { Name } from '../text.tsx';
import { RunActions } from './actions.tsx';

/** After this many milliseconds without news a running run looks dead. */
const SILENT_MS = 90_000;

/** See the file's head. */
export function Head(props: {
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
      <RunActions run={run} status={manifest.status}>
        {detail.has.samples ? <a href={pathTo({ page: 'samples', run })}>samples</a> : null}
        {detail.has.results ? <a href={pathTo({ page: 'map', run })}>map</a> : null}
        {detail.has.use ? <a href={pathTo({ page: 'use', run })}>use it</a> : null}
        {detail.has.report ? (
          <a href={`/api/runs/${encodeURIComponent(run)}/report`} target="_blank" rel="noreferrer">
            report
          </a>
        ) : null}
      </RunActions>
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
