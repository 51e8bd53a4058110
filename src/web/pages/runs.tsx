/** @file Runs: all of them, filtered, as cards or a table; two beside each other, several over one another. */
import { lazy, type ReactNode, Suspense } from 'react';
import type { FleetSummary, RunSummary } from '../../server/index.ts';
import { api, useAsk } from '../client.ts';
import { Compare } from '../compare.tsx';
import { Choice, distinct, moment, Problem, Status } from '../parts.tsx';
import { duration } from '../progress.ts';
import { fleetOf, pathTo, useQuery } from '../router.ts';
import { RunsTable } from '../runs-table.tsx';
import { Name } from '../text.tsx';

const Overlay = lazy(() => import('../overlay.tsx'));

export function RunsPage(): ReactNode {
  const [get, set] = useQuery();
  const { data: runs, error } = useAsk(api.runs, {});
  const { data: fleets } = useAsk(api.fleets, {});
  const { data: session } = useAsk(api.session, {});
  const [q, status] = [get('q') ?? '', get('status') ?? ''];
  const picked = [get('a'), get('b')].filter((id) => id !== undefined);
  const isTable = get('view') === 'table';
  const over = namesIn(get('in'));
  const shown = (runs ?? []).filter((run) => fits(run, q, status));
  const shownFleets = (fleets ?? []).filter((fleet) => fleetFits(fleet, q, status));
  // Runs of a fleet are reached by its page; the table, and whoever looks for one by name, has them too.
  const cards = shown.filter(
    (run) => q !== '' || session?.only !== undefined || fleetOf(run.id) === undefined,
  );
  const pick = (id: string, on: boolean) => {
    const next = on ? [...picked, id].slice(-2) : picked.filter((other) => other !== id);
    set({ a: next[0], b: next[1] });
  };
  return (
    <>
      <div className="row">
        <h1>Runs</h1>
        {session?.changeKey === undefined || session.only !== undefined ? null : <a href="/new">New run</a>}
      </div>
      {error ? <Problem>{error}</Problem> : null}
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <label className="field">
          <span>Name, model or behaviour</span>
          <input
            type="search"
            value={q}
            onChange={(event) => set({ q: event.target.value || undefined }, true)}
          />
        </label>
        <Choice
          label="Status"
          value={status}
          options={[
            ['', 'any'],
            ...['running', 'done', 'failed', 'cancelled', 'interrupted'].map((s) => [s, s] as const),
          ]}
          onChange={(value) => set({ status: value || undefined })}
        />
        <fieldset className="tabs">
          <legend>Shown as</legend>
          {(['cards', 'table'] as const).map((view) => (
            <button
              key={view}
              type="button"
              aria-pressed={isTable === (view === 'table')}
              onClick={() => set({ view: view === 'table' ? view : undefined })}
            >
              {view}
            </button>
          ))}
        </fieldset>
      </form>
      {isTable || shownFleets.length === 0 ? null : (
        <ul className="cards" aria-label="Fleets">
          {shownFleets.map((fleet) => (
            <li key={fleet.id} className="card">
              <FleetCard fleet={fleet} />
            </li>
          ))}
        </ul>
      )}
      {runs && runs.length === 0 && fleets?.length === 0 ? (
        <div className="empty">
          <p>
            There is no run in <code>{session?.folder ?? 'this folder'}</code> yet.
          </p>
          <p>
            Start one with <code>crosspatch demo</code>, <code>crosspatch run FILE</code>, or from this page;
            reload it when the run has begun.
          </p>
        </div>
      ) : null}
      {runs && runs.length > 0 && shown.length + shownFleets.length === 0 ? (
        <p className="empty">No run fits the filter.</p>
      ) : null}
      {isTable && shown.length > 0 ? (
        <>
          <RunsTable
            runs={shown}
            picked={over}
            onPick={(ids) => set({ in: ids.length > 0 ? JSON.stringify(ids) : undefined })}
          />
          {over.length === 0 ? (
            <p className="soft">Tick runs to lay them over one another in one chart.</p>
          ) : (
            <Suspense fallback={<p className="soft">Loading the chart…</p>}>
              <Overlay runs={over} />
            </Suspense>
          )}
        </>
      ) : null}
      {isTable ? null : (
        <>
          <ul className="cards">
            {cards.map((run) => (
              <li key={run.id} className="card">
                <RunCard run={run} picked={picked.includes(run.id)} onPick={(on) => pick(run.id, on)} />
              </li>
            ))}
          </ul>
          {picked.length === 1 ? <p className="soft">Mark a second run to compare the two.</p> : null}
          {picked.length === 2 ? <Compare a={picked[0] as string} b={picked[1] as string} /> : null}
        </>
      )}
    </>
  );
}

/** Names of runs, as the address has them. */
function namesIn(text: string | undefined): string[] {
  try {
    const parsed: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(parsed)
      ? parsed.filter((name): name is string => typeof name === 'string').slice(0, 6)
      : [];
  } catch {
    return [];
  }
}

function fleetFits(fleet: FleetSummary, q: string, status: string): boolean {
  const names =
    'problem' in fleet ? [] : [fleet.name, fleet.source, ...fleet.targets.map(({ name }) => name)];
  const text = [fleet.id, ...names].join(' ').toLowerCase();
  const isStatus = status === '' || (!('problem' in fleet) && fleet.status === status);
  return isStatus && text.includes(q.toLowerCase());
}

function fits(run: RunSummary, q: string, status: string): boolean {
  if ('problem' in run) return status === '' && run.id.toLowerCase().includes(q.toLowerCase());
  const text = [run.id, run.name, ...run.models, ...run.headlines.map((h) => h.behaviour)]
    .join(' ')
    .toLowerCase();
  return (status === '' || run.status === status) && text.includes(q.toLowerCase());
}

/** A fleet among the runs: its targets, each with the words of its verdicts. */
function FleetCard({ fleet }: { readonly fleet: FleetSummary }): ReactNode {
  if ('problem' in fleet)
    return (
      <>
        <h2>
          <Name>{fleet.id}</Name>
        </h2>
        <Problem>{fleet.problem}</Problem>
      </>
    );
  return (
    <>
      <div className="row">
        <h2>
          <a href={pathTo({ page: 'fleet', fleet: fleet.id })}>
            <Name>{fleet.id}</Name>
          </a>
        </h2>
        <Status>{fleet.status}</Status>
      </div>
      <p className="soft">
        fleet · {moment(fleet.started_at)} · from <Name>{fleet.source}</Name>
      </p>
      {fleet.targets.map(({ name, status, words }) => (
        <p key={name} className="headline">
          <Name>{name}</Name>:{' '}
          {words.length === 0 ? <Status>{status}</Status> : <strong>{words.join('; ')}</strong>}
        </p>
      ))}
    </>
  );
}

function RunCard(props: {
  readonly run: RunSummary;
  readonly picked: boolean;
  readonly onPick: (on: boolean) => void;
}): ReactNode {
  const { run, picked, onPick } = props;
  if ('problem' in run)
    return (
      <>
        <h2>
          <Name>{run.id}</Name>
        </h2>
        <Problem>{run.problem}</Problem>
      </>
    );
  const { stages, started_at, finished_at } = run;
  const keys = distinct(run.headlines.map((headline) => headline.behaviour));
  const seconds = finished_at ? (Date.parse(finished_at) - Date.parse(started_at)) / 1000 : undefined;
  return (
    <>
      <div className="row">
        <h2>
          <a href={pathTo({ page: 'run', run: run.id })}>
            <Name>{run.id}</Name>
          </a>
        </h2>
        <Status>{run.status}</Status>
      </div>
      <p className="soft">
        {run.name === run.id ? null : (
          <>
            <Name>{run.name}</Name> ·{' '}
          </>
        )}
        {moment(started_at)}
        {seconds === undefined ? '' : ` · ${duration(seconds)}`} · {stages.done} of {stages.total} stages
        {run.models.length > 0 ? (
          <>
            {' · '}
            <Name>{run.models.join(' → ')}</Name>
          </>
        ) : null}
      </p>
      {run.error === undefined ? null : <Problem>{run.error.slice(0, 400)}</Problem>}
      {run.headlines.map((headline, i) => (
        <p key={keys[i]} className="headline">
          <Name>{headline.behaviour}</Name> <span className="soft">({headline.placement})</span>:{' '}
          <strong>{headline.word}</strong>
          <br />
          <span className="soft">
            <Name>{headline.sentence}</Name>
          </span>
        </p>
      ))}
      <p className="actions">
        <label>
          <input type="checkbox" checked={picked} onChange={(event) => onPick(event.target.checked)} />{' '}
          compare
          <span className="hidden"> {run.id}</span>
        </label>
        <a href={pathTo({ page: 'samples', run: run.id })}>
          samples<span className="hidden"> of {run.id}</span>
        </a>
        <a href={pathTo({ page: 'map', run: run.id })}>
          map<span className="hidden"> of {run.id}</span>
        </a>
      </p>
    </>
  );
}
