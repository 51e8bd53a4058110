/** @file The data of what is drawn, as CSV and JSON, one click away. */
import type { ReactNode } from 'react';
import { type DataRow, toCsv, toJson } from '../figures/index.ts';

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
  const save = () => {
    const url = URL.createObjectURL(new Blob([props.text()], { type: props.type }));
    const link = document.createElement('a');
    link.href = url;
    link.download = props.name;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <button type="button" className="link" onClick={save}>
      {props.name.split('.').at(-1)?.toUpperCase()}
      <span className="hidden"> of {props.name}</span>
    </button>
  );
}
