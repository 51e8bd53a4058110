/** @file Rows of the runs table: one per run and behaviour, what each column says of it, and their order. Pure. */
import type { Headline, RunSummary } from '../server/index.ts';

/** What a column is called and means; `words`: text, sorted from its first letter and set to the left. */
interface ColumnOf {
  readonly title: string;
  readonly meaning: string;
  readonly words?: true;
}

export const COLUMNS = {
  run: { title: 'run', meaning: 'Name of the run folder', words: true },
  behaviour: { title: 'behaviour', meaning: 'Behaviour and where its tag stands', words: true },
  state: { title: 'state', meaning: 'Running, done, failed, cancelled or interrupted', words: true },
  date: { title: 'started', meaning: 'When the run was started' },
  seconds: { title: 'took', meaning: 'From start to end' },
  stages: { title: 'stages', meaning: 'Stages that are finished, of all', words: true },
  models: { title: 'models', meaning: 'Source → target', words: true },
  blocks: { title: 'blocks', meaning: 'Source block → target block of the map', words: true },
  map: { title: 'map', meaning: 'Map and fit that the verdict speaks of', words: true },
  restoration: {
    title: 'restoration',
    meaning: 'Triggered prompts whose completion is the ordinary answer again, with the mapped vector',
  },
  elicitation: { title: 'elicitation', meaning: 'Prompts that show the behaviour with the opposite vector' },
  margin: { title: 'margin', meaning: 'Restoration minus that of the strongest noise arm' },
  fvu: { title: 'FVU', meaning: 'Fraction of variance unexplained by the map, on test prompts' },
  verdict: { title: 'verdict', meaning: 'The verdict in a word', words: true },
} as const satisfies Record<string, ColumnOf> as Readonly<Record<ColumnName, ColumnOf>>;
type ColumnName =
  | 'run'
  | 'behaviour'
  | 'state'
  | 'date'
  | 'seconds'
  | 'stages'
  | 'models'
  | 'blocks'
  | 'map'
  | 'restoration'
  | 'elicitation'
  | 'margin'
  | 'fvu'
  | 'verdict';
export type Column = ColumnName;

export const DEFAULT_COLUMNS: readonly Column[] = [
  'behaviour',
  'state',
  'date',
  'seconds',
  'blocks',
  'restoration',
  'elicitation',
  'margin',
  'fvu',
];

export interface TableRow {
  readonly key: string;
  readonly run: string;
  /** The first row of its run, in the order of the table. */
  readonly first: boolean;
  readonly headline?: Headline;
  /** Why the run cannot be read. */
  readonly problem?: string;
  readonly values: Readonly<Partial<Record<Column, string | number>>>;
}

/** Rows by `column`; what has no value there comes last, whichever way it is sorted. */
export function rowsOf(runs: readonly RunSummary[], column: Column, descending: boolean): TableRow[] {
  const rows = runs.flatMap((run) =>
    'problem' in run
      ? [{ key: run.id, run: run.id, problem: run.problem, values: { run: run.id, state: 'broken' } }]
      : behaviourRows(run),
  );
  const sorted = rows
    .map((row) => row as Omit<TableRow, 'first'>)
    .sort((a, b) => compare(a.values[column], b.values[column], descending) || (a.key < b.key ? -1 : 1));
  const seen = new Set<string>();
  return sorted.map((row) => {
    const first = !seen.has(row.run);
    seen.add(row.run);
    return { ...row, first };
  });
}

function behaviourRows(run: Exclude<RunSummary, { problem: string }>): Omit<TableRow, 'first'>[] {
  const { id, status, started_at, finished_at, stages, models, headlines } = run;
  const shared = {
    run: id,
    state: status,
    date: started_at,
    seconds:
      finished_at === undefined ? undefined : (Date.parse(finished_at) - Date.parse(started_at)) / 1000,
    stages: `${stages.done} of ${stages.total}`,
    models: models.length > 0 ? models.join(' → ') : undefined,
  };
  if (headlines.length === 0) return [{ key: id, run: id, values: shared }];
  return headlines.map((headline, i) => ({
    key: `${id} ${i}`,
    run: id,
    headline,
    values: {
      ...shared,
      behaviour: `${headline.behaviour}, ${headline.placement}`,
      blocks: blocksOf(headline),
      map: headline.map,
      restoration: numberOf(headline.restoration),
      elicitation: numberOf(headline.elicitation),
      margin: headline.margin,
      fvu: headline.fvu,
      verdict: headline.word,
    },
  }));
}

function blocksOf({ blocks: { source, target } }: Headline): string | undefined {
  return source === undefined || target === undefined ? undefined : `${source} → ${target}`;
}

function numberOf(figure: Headline['restoration']): number | undefined {
  return typeof figure === 'object' ? figure.value : figure;
}

function compare(
  a: string | number | undefined,
  b: string | number | undefined,
  descending: boolean,
): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const order =
    typeof a === 'number' && typeof b === 'number'
      ? a - b
      : String(a).localeCompare(String(b), 'en', { numeric: true });
  return descending ? -order : order;
}
