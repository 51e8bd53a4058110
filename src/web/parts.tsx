/** @file Small parts that several pages use. */
import type { ReactNode } from 'react';
import type { Figure } from '../contracts/index.ts';
import { percent, short } from '../figures/index.ts';
import { Name } from './text.tsx';

/** Whether the window is a phone's: what is long waits there until it is opened. */
export function isPhone(): boolean {
  return matchMedia('(max-width: 760px)').matches;
}

/** What went wrong, in the server's words. */
export function Problem({ children }: { readonly children: string }): ReactNode {
  return (
    <p className="problem" role="alert">
      <Name>{children}</Name>
    </p>
  );
}

const MARKS: Readonly<Record<string, string>> = {
  done: '✓',
  cached: '✓',
  running: '▸',
  failed: '✗',
  cancelled: '■',
  interrupted: '■',
  waiting: '·',
};

/** A status in a word, with a sign of its own for those who see no colour. */
export function Status({ children }: { readonly children: string }): ReactNode {
  return (
    <span className={`status ${children}`}>
      <span aria-hidden="true">{MARKS[children] ?? '·'}</span> {children}
    </span>
  );
}

/** A share as `93 % [90, 95]`. */
export function Share({ figure }: { readonly figure: Figure | undefined }): ReactNode {
  if (figure === undefined) return <span className="soft">–</span>;
  if (typeof figure === 'number') return percent(figure);
  const end = (value: number) => Math.round(value * 100);
  return (
    <span className="nowrap">
      {percent(figure.value)}{' '}
      <span className="soft">
        [{end(figure.ci95[0])}, {end(figure.ci95[1])}]
      </span>
    </span>
  );
}

/** A number, briefly. */
export function number(value: number | undefined): string {
  return value === undefined ? '–' : short(value);
}

/** One of several, as a labelled select; '' stands for all. */
export function Choice(props: {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly onChange: (value: string) => void;
}): ReactNode {
  return (
    <label className="field">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChange(event.target.value)}>
        {props.options.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Keys of a list whose items may be alike: text and how often it has come. */
export function distinct(texts: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return texts.map((text) => {
    const times = seen.get(text) ?? 0;
    seen.set(text, times + 1);
    return `${times} ${text}`;
  });
}

/** `10:00:05`, in the reader's time zone. */
export function clock(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? '' : time.toTimeString().slice(0, 8);
}

/** `2026-11-22 10:00`, in the reader's time zone. */
export function moment(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return '';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
}
