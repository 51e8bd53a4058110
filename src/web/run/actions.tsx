/** @file What can be done with a run: stop it, go on with it, begin another with its recipe, delete it. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Manifest } from '../../contracts/index.ts';
import { useAction, useChanges } from '../changes.ts';
import { api, ofRun } from '../client.ts';
import { Problem } from '../parts.tsx';
import { navigate } from '../router.ts';
import { Name } from '../text.tsx';

export function RunActions(props: {
  readonly run: string;
  readonly status: Manifest['status'];
  readonly children: ReactNode;
}): ReactNode {
  const { run, status, children } = props;
  const changes = useChanges();
  const { busy, error, act } = useAction();
  const [asks, setAsks] = useState(false);
  if (changes === undefined) return <p className="actions">{children}</p>;
  const stop = () =>
    act(async () => {
      await api.runs[':run'].stop.$post({ ...ofRun(run), json: {} }, changes);
    });
  const resume = () =>
    act(async () => {
      await api.runs[':run'].resume.$post({ ...ofRun(run), json: {} }, changes);
    });
  const remove = () =>
    act(async () => {
      await api.runs[':run'].delete.$post({ ...ofRun(run), json: { confirm: run } }, changes);
      navigate('/');
    });
  return (
    <>
      <p className="actions">
        {children}
        <a href={`/new?${new URLSearchParams({ run })}`}>clone</a>
        {status === 'cancelled' || status === 'interrupted' || status === 'failed' ? (
          <button type="button" disabled={busy} onClick={resume}>
            Go on
          </button>
        ) : null}
        {status === 'running' ? (
          <button type="button" disabled={busy} onClick={stop}>
            Stop
          </button>
        ) : (
          <button type="button" disabled={busy || asks} onClick={() => setAsks(true)}>
            Delete…
          </button>
        )}
      </p>
      {asks ? <Confirm run={run} busy={busy} onYes={remove} onNo={() => setAsks(false)} /> : null}
      {error ? <Problem>{error}</Problem> : null}
    </>
  );
}

function Confirm(props: {
  readonly run: string;
  readonly busy: boolean;
  readonly onYes: () => void;
  readonly onNo: () => void;
}): ReactNode {
  const { run, busy, onYes, onNo } = props;
  const keep = useRef<HTMLButtonElement>(null);
  useEffect(() => keep.current?.focus(), []);
  return (
    <div className="problem" role="alertdialog" aria-labelledby="delete-what" aria-describedby="delete-why">
      <p id="delete-what">
        Delete the run <Name>{run}</Name>?
      </p>
      <p id="delete-why" className="soft">
        Its results, samples, models, maps, ratings and report are gone for good. Stages in the store stay.
      </p>
      <p className="actions">
        <button type="button" disabled={busy} onClick={onYes}>
          Delete for good
        </button>
        <button type="button" ref={keep} disabled={busy} onClick={onNo}>
          Keep it
        </button>
      </p>
    </div>
  );
}
