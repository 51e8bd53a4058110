/** @file All runs as a table: columns chosen, sorted, rows ticked to be laid over one another. The address keeps all of it. */
import type { ReactNode } from 'react';
import { short } from '../figures/index.ts';
import type { RunSummary } from '../server/index.ts';
import { moment, Share, Status } from './parts.tsx';
import { duration } from './progress.ts';
import { pathTo, useQuery } from './router.ts';
import { COLUMNS, type Column, DEFAULT_COLUMNS, rowsOf, type TableRow } from './table-rows.ts';
import { Name } from './text.tsx';

/** Runs that may be laid over one another; more are hard to tell apart. */
const MOST = 6;

export function RunsTable(props: {
  readonly runs: readonly RunSummary[];
  readonly picked: readonly string[];
  readonly onPick: (ids: readonly string[]) => void;
}): ReactNode {
  const { runs, picked, onPick } = props;
  const [get, set] = useQuery();
  const chosen = (get('cols')?.split(',') ?? [...DEFAULT_COLUMNS]).filter(isColumn);
  const sort = get('sort') ?? '-date';
  const by = sort.replace(/^-/, '');
  const rows = rowsOf(runs, isColumn(by) ? by : 'date', sort.startsWith('-'));
  const shown = (Object.keys(COLUMNS) as Column[]).filter((c) => c === 'run' || chosen.includes(c));
  const toggle = (column: Column, on: boolean) => {
    const next = on ? [...chosen, column] : chosen.filter((c) => c !== column);
    const isDefault =
      next.length === DEFAULT_COLUMNS.length && DEFAULT_COLUMNS.every((c) => next.includes(c));
    set({ cols: isDefault ? undefined : next.join(',') });
  };
  return (
    <>
      <details>
        <summary>Columns</summary>
        <fieldset className="judge">
          <legend className="hidden">Columns</legend>
          {(Object.keys(COLUMNS) as Column[])
            .filter((c) => c !== 'run')
            .map((column) => (
              <label key={column} title={COLUMNS[column].meaning}>
                <input
                  type="checkbox"
                  checked={chosen.includes(column)}
                  onChange={(e) => toggle(column, e.target.checked)}
                />{' '}
                {COLUMNS[column].title}
              </label>
            ))}
        </fieldset>
      </details>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section className="scroll" aria-label="Runs, as a table" tabIndex={0}>
        <table className="runs">
          <thead>
            <tr>
              <th scope="col">
                <span className="hidden">lay over</span>
              </th>
              {shown.map((column) => (
                <Head
                  key={column}
                  column={column}
                  direction={by === column ? (sort.startsWith('-') ? 'descending' : 'ascending') : undefined}
                  onSort={(next) => set({ sort: next === '-date' ? undefined : next })}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.key}>
                <td>
                  {row.first ? (
                    <input
                      type="checkbox"
                      aria-label={`lay ${row.run} over others`}
                      checked={picked.includes(row.run)}
                      disabled={
                        row.problem !== undefined || (picked.length >= MOST && !picked.includes(row.run))
                      }
                      onChange={(e) =>
                        onPick(
                          e.target.checked ? [...picked, row.run] : picked.filter((id) => id !== row.run),
                        )
                      }
                    />
                  ) : null}
                </td>
                {shown.map((column) =>
                  column === 'run' ? (
                    <th key={column} scope="row">
                      <a href={pathTo({ page: 'run', run: row.run })}>
                        <Name>{row.run}</Name>
                      </a>
                    </th>
                  ) : (
                    <td key={column} className={COLUMNS[column].words ? 'words' : undefined}>
                      <Cell row={row} column={column} />
                    </td>
                  ),
                )}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </>
  );
}

function isColumn(name: string): name is Column {
  return Object.hasOwn(COLUMNS, name);
}

function Head(props: {
  readonly column: Column;
  readonly direction: 'ascending' | 'descending' | undefined;
  readonly onSort: (sort: string) => void;
}): ReactNode {
  const { column, direction, onSort } = props;
  const { title, meaning, words } = COLUMNS[column];
  // Numbers begin with the largest, words with the first.
  const next = direction === undefined ? !words : direction === 'ascending';
  return (
    <th scope="col" aria-sort={direction ?? 'none'} className={words ? 'words' : undefined}>
      <button
        type="button"
        className="link"
        title={meaning}
        onClick={() => onSort(next ? `-${column}` : column)}
      >
        {title}
        <span aria-hidden="true">
          {direction === undefined ? '' : direction === 'ascending' ? ' ↑' : ' ↓'}
        </span>
      </button>
    </th>
  );
}

function Cell({ row, column }: { readonly row: TableRow; readonly column: Column }): ReactNode {
  const value = row.values[column];
  if (column === 'state')
    return row.problem === undefined ? (
      <Status>{String(value)}</Status>
    ) : (
      <span title={row.problem}>broken</span>
    );
  if (value === undefined) return <span className="soft">–</span>;
  if (column === 'date') return moment(String(value));
  if (column === 'seconds') return duration(Number(value));
  if (column === 'restoration' || column === 'elicitation') return <Share figure={row.headline?.[column]} />;
  if (column === 'margin') return `${short(Number(value) * 100)} points`;
  return typeof value === 'number' ? short(value) : <Name>{value}</Name>;
}
