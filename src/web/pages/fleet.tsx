/** @file A fleet: the fix of one source in every target, as a matrix per behaviour, and how each target is served. */
import { type ReactNode, useEffect, useState } from 'react';
import type { FleetCell, FleetDetail, FleetMatrix, FleetRow } from '../../server/index.ts';
import { api, ofFleet, useAsk } from '../client.ts';
import { CommandBlock } from '../command.tsx';
import { distinct, moment, Problem, Status } from '../parts.tsx';
import { pathTo } from '../router.ts';
import { Name } from '../text.tsx';

/** While a fleet runs, it is asked for again after this many milliseconds. */
const AGAIN_MS = 3000;

export default function FleetPage({ fleet: id }: { readonly fleet: string }): ReactNode {
  const [again, setAgain] = useState(0);
  const { data, error } = useAsk(api.fleets[':fleet'], ofFleet(id), again);
  const runs = data?.fleet.status === 'running';
  useEffect(() => {
    if (!runs) return;
    const timer = setInterval(() => setAgain((n) => n + 1), AGAIN_MS);
    return () => clearInterval(timer);
  }, [runs]);
  return (
    <>
      {error ? <Problem>{error}</Problem> : null}
      {data ? <Whole detail={data} /> : error ? null : <p className="soft">Loading…</p>}
    </>
  );
}

function Whole({ detail }: { readonly detail: FleetDetail }): ReactNode {
  const { id, fleet, matrices, sentences, hasReport } = detail;
  const keys = distinct(sentences);
  return (
    <>
      <div className="row">
        <h1>
          <Name>{id}</Name>
        </h1>
        <Status>{fleet.status}</Status>
      </div>
      <p className="soft">
        fleet · {moment(fleet.started_at)} · from <Name>{fleet.source}</Name> to {fleet.targets.length}{' '}
        targets
        {fleet.stages
          ? ` · ${fleet.stages.all} stages, ${fleet.stages.shared} of them computed once for several targets`
          : ''}
        {hasReport ? (
          <>
            {' · '}
            <a href={`/api/runs/${encodeURIComponent(id)}/report`} target="_blank" rel="noreferrer">
              report
            </a>
          </>
        ) : null}
      </p>
      {fleet.description === undefined ? null : (
        <p className="lead">
          <Name>{fleet.description}</Name>
        </p>
      )}
      <section className="verdict" aria-label="In words">
        {sentences.length === 0 ? <p className="claim">No target is done yet.</p> : null}
        <ul>
          {sentences.map((sentence, i) => (
            <li key={keys[i]}>
              <Name>{sentence}</Name>
            </li>
          ))}
        </ul>
      </section>
      {matrices.map((matrix) => (
        <Matrix key={matrix.behaviour} matrix={matrix} detail={detail} />
      ))}
      {matrices.length === 0 ? <Targets detail={detail} /> : null}
      <Served detail={detail} />
    </>
  );
}

/** A row per target; every cell leads to that target's run. */
function Matrix({
  matrix,
  detail,
}: {
  readonly matrix: FleetMatrix;
  readonly detail: FleetDetail;
}): ReactNode {
  const { behaviour, columns, rows } = matrix;
  return (
    <div>
      <h2>
        <Name>{behaviour}</Name>
      </h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className="scroll" aria-label={`The fix in every target: ${behaviour}`} tabIndex={0}>
        <table className="fleet">
          <thead>
            <tr>
              <th scope="col">target</th>
              <th scope="col" className="words">
                verdict
              </th>
              {columns.map(({ title, meaning }) => (
                <th key={title} scope="col">
                  <abbr title={meaning}>{title}</abbr>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={row.target} row={row} columns={columns} run={detail.runs[row.target]} />
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

function Row(props: {
  readonly row: FleetRow;
  readonly columns: FleetMatrix['columns'];
  readonly run: string | undefined;
}): ReactNode {
  const { row, columns, run } = props;
  const to = run === undefined ? undefined : pathTo({ page: 'run', run });
  return (
    <tr>
      <th scope="row">
        {to === undefined ? <Name>{row.target}</Name> : <a href={to}>{row.target}</a>}
        <small>
          <Name>{row.model}</Name>
        </small>
      </th>
      <td className="words">{row.word ?? <Status>{row.status}</Status>}</td>
      {columns.map(({ title }, i) => (
        <td key={title}>
          <Cell cell={row.cells[i] ?? null} to={to} what={`${row.target}, ${title}`} />
        </td>
      ))}
    </tr>
  );
}

function Cell(props: {
  readonly cell: FleetCell | null;
  readonly to: string | undefined;
  readonly what: string;
}): ReactNode {
  const { cell, to, what } = props;
  if (cell === null) return <span className="soft">–</span>;
  const { value, interval, n, beside } = cell;
  return (
    <>
      {to === undefined ? (
        value
      ) : (
        <a href={to} aria-label={`${what}: ${value}`}>
          {value}
        </a>
      )}
      <small>{interval}</small>
      <small>n = {n}</small>
      {beside === undefined ? null : <small>{beside}</small>}
    </>
  );
}

/** Where each target stands, before any has figures. */
function Targets({ detail: { fleet, runs } }: { readonly detail: FleetDetail }): ReactNode {
  return (
    <ul>
      {fleet.targets.map(({ name, model, status }) => (
        <li key={name}>
          {runs[name] === undefined ? (
            <Name>{name}</Name>
          ) : (
            <a href={pathTo({ page: 'run', run: runs[name] })}>{name}</a>
          )}{' '}
          <span className="soft">
            <Name>{model}</Name>
          </span>{' '}
          <Status>{status}</Status>
        </li>
      ))}
    </ul>
  );
}

function Served({ detail: { fleet, runs } }: { readonly detail: FleetDetail }): ReactNode {
  const served = fleet.targets.flatMap(({ name, behaviours }) =>
    behaviours.flatMap(({ behaviour, use }) => (use ? [{ name, behaviour, use }] : [])),
  );
  if (served.length === 0) return null;
  return (
    <section aria-labelledby="served">
      <h2 id="served">Run each target with the fix on</h2>
      {served.map(({ name, behaviour, use }) => (
        <div key={`${name} ${behaviour}`}>
          <h3>
            {name}, {behaviour}
          </h3>
          <p className="soft">
            in the folder <code>{name}</code>; the document is <code>{use.document}</code>
            {runs[name] === undefined ? null : (
              <>
                ; <a href={pathTo({ page: 'use', run: runs[name] })}>more ways</a>
              </>
            )}
          </p>
          <CommandBlock what={`serve ${name}`} text={use.serve} />
        </div>
      ))}
    </section>
  );
}
