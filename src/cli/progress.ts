/** @file Progress for people: bars that redraw on a terminal, plain lines elsewhere. Both draw the same events. */
import type { RunEvent } from '../pipeline/index.ts';
import type { Cli } from './cli.ts';

/** Draws events; `close` leaves the terminal clean. */
export interface ProgressRenderer {
  readonly onEvent: (event: RunEvent) => void;
  close(): void;
}

/** Milliseconds between two redraws of the bars, and between two plain lines of one stage. */
const REDRAW_MS = 100;
const PLAIN_MS = 10_000;

/** The renderer that fits: none when quiet, bars on a terminal, lines otherwise. `now` in milliseconds. */
export function progressRenderer(
  cli: Cli,
  quiet: boolean,
  now: () => number = () => performance.now(),
): ProgressRenderer {
  if (quiet) return { onEvent: () => {}, close: () => {} };
  return cli.tty ? new Bars(cli, now) : new Lines(cli, now);
}

interface Running {
  /** What is counted: the stage, and which part of its work. */
  readonly label: string;
  /** First report with a count, to measure the rate from. */
  readonly from: { readonly time: number; readonly done: number } | undefined;
  readonly event: RunEvent;
}

/**
 * What is running, by stage. A stage counts one part of its work after another; every part has a label of its own, so that under one
 * label a count never falls: a part that is counted again (another block, another arm) is numbered.
 */
class Tracker {
  readonly running = new Map<string, Running>();
  readonly #rounds = new Map<string, number>();

  take(event: RunEvent, time: number): void {
    const { stage, state } = event;
    if (state !== 'started' && state !== 'running') {
      this.running.delete(stage);
      return;
    }
    // A message that announces the next part counts nothing yet.
    if (event.message !== undefined && event.done === 0 && state === 'running') return;
    const before = this.running.get(stage);
    const goesOn = before !== undefined && (before.from === undefined || continues(before.event, event));
    const label = goesOn && before.from !== undefined ? before.label : this.#labelOf(event);
    const from = goesOn ? before.from : undefined;
    const start = state === 'running' ? { time, done: event.done } : undefined;
    this.running.set(stage, { label, from: from ?? start, event });
  }

  #labelOf(event: RunEvent): string {
    const { stage, part, state } = event;
    if (state === 'started') return stage;
    const label = part === undefined || part === '' ? stage : stage === '' ? part : `${stage} › ${part}`;
    const round = (this.#rounds.get(label) ?? 0) + 1;
    this.#rounds.set(label, round);
    return round === 1 ? label : `${label} (${round})`;
  }
}

/** Whether `next` counts the same things as `before`, further on. */
function continues(before: RunEvent, next: RunEvent): boolean {
  return (
    before.part === next.part &&
    before.unit === next.unit &&
    before.total === next.total &&
    before.done <= next.done
  );
}

class Lines implements ProgressRenderer {
  readonly #cli: Cli;
  readonly #now: () => number;
  readonly #tracker = new Tracker();
  readonly #last = new Map<string, number>();

  constructor(cli: Cli, now: () => number) {
    this.#cli = cli;
    this.#now = now;
  }

  onEvent = (event: RunEvent): void => {
    const time = this.#now();
    const { stage, state, message } = event;
    this.#tracker.take(event, time);
    if (state !== 'running') {
      this.#cli.err(`${settled(event)}\n`);
      return;
    }
    if (message !== undefined) {
      this.#cli.err(`${messageLine(event)}\n`);
      return;
    }
    const last = this.#last.get(stage);
    if (last !== undefined && time - last < PLAIN_MS) return;
    const running = this.#tracker.running.get(stage);
    if (last !== undefined && running) this.#cli.err(`${running.label}: ${counted(running, time)}\n`);
    this.#last.set(stage, time);
  };

  close(): void {}
}

class Bars implements ProgressRenderer {
  readonly #cli: Cli;
  readonly #now: () => number;
  readonly #tracker = new Tracker();
  #drawn = 0;
  #last = Number.NEGATIVE_INFINITY;

  constructor(cli: Cli, now: () => number) {
    this.#cli = cli;
    this.#now = now;
  }

  onEvent = (event: RunEvent): void => {
    const time = this.#now();
    this.#tracker.take(event, time);
    const isNews = event.state === 'cached' || event.state === 'done' || event.state === 'failed';
    if (!isNews && event.message === undefined && time - this.#last < REDRAW_MS) return;
    this.#last = time;
    this.#erase();
    if (isNews) this.#cli.err(`${settled(event)}\n`);
    else if (event.message !== undefined) this.#cli.err(`  ${messageLine(event)}\n`);
    this.#draw(time);
  };

  close(): void {
    this.#erase();
  }

  #draw(time: number): void {
    const width = this.#cli.columns();
    const lines = [...this.#tracker.running.values()].map((running) => barLine(running, time, width));
    this.#cli.err(lines.map((line) => `${line}\n`).join(''));
    this.#drawn = lines.length;
  }

  /** Cursor up over what was drawn, clear to the end of the screen. */
  #erase(): void {
    if (this.#drawn > 0) this.#cli.control(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
  }
}

function settled(event: RunEvent): string {
  if (event.state === 'started') return `  ${event.stage}: started`;
  if (event.state === 'cached') return `· ${event.stage}: stored`;
  if (event.state === 'failed') return `✗ ${event.stage}: ${event.message ?? 'failed'}`;
  return `✓ ${event.stage}: ${duration(event.seconds ?? 0)}`;
}

/** `reading 60 texts (with_tags)`, after the stage where there are several. */
function messageLine({ stage, message }: RunEvent): string {
  return stage === '' ? `${message}` : `${stage}: ${message}`;
}

function barLine(running: Running, time: number, width: number): string {
  const { done, total } = running.event;
  const share = total ? Math.min(1, done / total) : 0;
  const cells = 20;
  const full = Math.round(share * cells);
  const bar = `${'█'.repeat(full)}${'░'.repeat(cells - full)}`;
  return `  ${running.label.padEnd(28)} ${bar} ${counted(running, time)}`.slice(0, Math.max(20, width - 1));
}

/** `120/300 steps · 9.8/s · 18 s left · loss 0.12` */
function counted(running: Running, time: number): string {
  const { done, total, unit, figures } = running.event;
  const parts = [`${done}${total === undefined ? '' : `/${total}`}${unit ? ` ${unit}` : ''}`];
  const seconds = running.from ? (time - running.from.time) / 1000 : 0;
  const rate = running.from && seconds > 0.5 ? (done - running.from.done) / seconds : 0;
  if (rate > 0) {
    parts.push(`${short(rate)}/s`);
    if (total !== undefined && total > done) parts.push(`${duration((total - done) / rate)} left`);
  }
  for (const [name, value] of Object.entries(figures ?? {}))
    if (name !== 'seconds_left') parts.push(`${name.replaceAll('_', ' ')} ${short(value)}`);
  return parts.join(' · ');
}

/** `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

function short(value: number): string {
  return Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
