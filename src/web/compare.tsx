/** @file Two runs beside each other. */
import { Fragment, type ReactNode } from 'react';
import type { BehaviourResults, Rate } from '../contracts/index.ts';
import { headline } from '../figures/index.ts';
import { api, ofRun, useAsk } from './client.ts';
import { number, Problem, Share } from './parts.tsx';
import { useQuery } from './router.ts';
import { Name, PathName, Word } from './text.tsx';

/** Rows drawn at most; a filter narrows. */
const ROWS = 400;

/** Two runs: the figures that matter with their intervals, then every figure that differs. */
export function Compare({ a, b }: { readonly a: string; readonly b: string }): ReactNode {
  const [get, set] = useQuery();
  const { data, error } = useAsk(api.compare, { query: { a, b } });
  const q = get('figure') ?? '';
  const rows = (data?.differences ?? []).filter((row) => row.path.includes(q));
  return (
    <section aria-label="Comparison">
      <h2>
        <Name>{a}</Name> and <Name>{b}</Name>
      </h2>
      {error ? <Problem>{error}</Problem> : null}
      <Headlines a={a} b={b} />
      {data ? (
        <>
          <h3>Every figure</h3>
          <p className="soft">
            Figures that differ: {data.differences.length}; equal: {data.equal}. Timings and memory are among
            them.
          </p>
          <label className="field">
            <span>Figures whose path contains</span>
            <input
              type="search"
              value={q}
              placeholder="transfer.affine"
              onChange={(event) => set({ figure: event.target.value || undefined }, true)}
            />
          </label>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
          <section className="scroll tall" aria-label="Figures that differ" tabIndex={0}>
            <table>
              <HeadOf first="figure" a={a} b={b} last="difference" />
              <tbody>
                {rows.slice(0, ROWS).map((row) => (
                  <tr key={row.path}>
                    <th scope="row">
                      <PathName>{row.path.replace(/^behaviours\./, '')}</PathName>
                    </th>
                    <td>{row.a === undefined ? 'absent' : number(row.a)}</td>
                    <td>{row.b === undefined ? 'absent' : number(row.b)}</td>
                    <td>{row.a === undefined || row.b === undefined ? '' : number(row.b - row.a)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
          {rows.length > ROWS ? <p className="soft">{rows.length - ROWS} more: narrow the filter.</p> : null}
          {rows.length === 0 ? <p className="empty">No figure that fits differs.</p> : null}
        </>
      ) : null}
    </section>
  );
}

const NOISE = ['random', 'random_cov', 'random_step', 'shuffled'] as const;

/** The figures a reader asks for first. */
const HEADLINES: readonly (readonly [string, (behaviour: BehaviourResults) => Rate | undefined])[] = [
  ['trigger rate, source', (r) => r.backdoor?.source?.trigger_rate],
  ['trigger rate, target', (r) => r.backdoor?.target?.trigger_rate],
  ['restoration, native', (r) => headline(r)?.entry.arms.native?.restoration],
  ['restoration, mapped', (r) => headline(r)?.entry.arms.mapped?.restoration],
  [
    'restoration, strongest noise',
    (r) =>
      NOISE.flatMap((arm) => headline(r)?.entry.arms[arm]?.restoration ?? []).sort(
        (x, y) => y.value - x.value,
      )[0],
  ],
  ['restoration, token mean', (r) => headline(r)?.entry.arms.token_mean?.restoration],
  ['transfer rate', (r) => headline(r)?.entry.transfer_rate],
  ['elicitation, mapped', (r) => headline(r)?.entry.arms.mapped?.elicitation],
];

function Headlines({ a, b }: { readonly a: string; readonly b: string }): ReactNode {
  const left = useAsk(api.runs[':run'].results, ofRun(a)).data?.results;
  const right = useAsk(api.runs[':run'].results, ofRun(b)).data?.results;
  if (!left || !right) return null;
  const label = ({ pair }: BehaviourResults) => `${pair.behaviour}, ${pair.placement}`;
  const labels = [...new Set([...left.behaviours, ...right.behaviours].map(label))];
  const rows = labels.flatMap((name) => {
    const [one, other] = [left, right].map((r) => r.behaviours.find((found) => label(found) === name));
    return HEADLINES.flatMap(([figure, pick]) => {
      const [x, y] = [one && pick(one), other && pick(other)];
      return x || y ? [{ key: `${name} ${figure}`, name, figure, x, y }] : [];
    });
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="scroll" aria-label="Headlines" tabIndex={0}>
      <table>
        <HeadOf first="headline" a={a} b={b} last="intervals" />
        <tbody>
          {rows.map(({ key, name, figure, x, y }) => (
            <tr key={key}>
              <th scope="row">
                <Name>{name}</Name>: <Figured>{figure}</Figured>
              </th>
              <td>
                <Share figure={x} />
              </td>
              <td>
                <Share figure={y} />
              </td>
              <td>{x && y ? apart(x, y) : ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The head of a table of two runs. */
function HeadOf(props: {
  readonly first: string;
  readonly a: string;
  readonly b: string;
  readonly last: string;
}): ReactNode {
  const { first, a, b, last } = props;
  return (
    <thead>
      <tr>
        <th scope="col">{first}</th>
        <th scope="col">
          <Name>{a}</Name>
        </th>
        <th scope="col">
          <Name>{b}</Name>
        </th>
        <th scope="col">{last}</th>
      </tr>
    </thead>
  );
}

/** `restoration, mapped`: each part explained. */
function Figured({ children }: { readonly children: string }): ReactNode {
  return children.split(', ').map((part, i) => (
    <Fragment key={part}>
      {i > 0 ? ', ' : ''}
      <Word>{part}</Word>
    </Fragment>
  ));
}

function apart(x: Rate, y: Rate): string {
  return x.ci95[0] > y.ci95[1] || y.ci95[0] > x.ci95[1] ? 'apart' : 'overlap';
}
