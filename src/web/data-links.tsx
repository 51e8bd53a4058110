/** @file The data of what is drawn, as CSV and JSON, one click away. */
import type { ReactNode } from 'react';
import { type DataRow, toCsv, toJson } from '../figures/index.ts';
import { saveText } from './save.ts';

/** Saves `rows` as `name.csv` or `name.json`. */
export function DataLinks({
  name,
  rows,
}: {
  readonly name: string;
  readonly rows: readonly DataRow[];
}): ReactNode {
  return (
    <p className="data">
      Data: <Download name={`${name}.csv`} type="text/csv" text={() => toCsv(rows)} />
      <Download name={`${name}.json`} type="application/json" text={() => toJson(rows)} />
    </p>
  );
}

/** A file made when it is asked for. */
function Download(props: {
  readonly name: string;
  readonly type: string;
  readonly text: () => string;
}): ReactNode {
  const save = () => saveText(props.name, props.type, props.text());
  return (
    <button type="button" className="link" onClick={save}>
      {props.name.split('.').at(-1)?.toUpperCase()}
      <span className="hidden"> of {props.name}</span>
    </button>
  );
}
