/** @file Progress for people: bars that redraw on a terminal, plain lines elsewhere. Both draw the same events. */
import type { RunEvent } from '../pipeline/index.ts';
import type { Cli } from './cli.ts';
import { byteSize } from './table.ts';

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
  readonly since: number;
  /** First report with a count, to measure the rate from. */
  readonly from: { readonly time: number; readonly done: number } | undefined;
  readonly event: RunEvent;
}

/** What is running, by stage. */
class Tracker {
  readonly running = new Map<string, Running>();

  take(event: RunEvent, time: number): void {
    if (event.state === 'started' || event.state === 'running') {
      const before = this.running.get(event.stage);
      const from = before?.from ?? (event.state === 'running' ? { time, done: event.done } : undefined);
      this.running.set(event.stage, { since: before?.since ?? time, from, event });
    } else this.running.delete(event.stage);
  }
}

/** What both renderers draw on and keep. */
class Drawing {
  protected readonly cli: Cli;
  protected readonly now: () => number;
  protected readonly tracker = new Tracker();

  constructor(cli: Cli, now: () => number) {
    this.cli = cli;
    this.now = now;
  }
}

class Lines extends Drawing implements ProgressRenderer {
  readonly #last = new Map<string, number>();

  onEvent = (event: RunEvent): void => {
    const time = this.now();
    this.tracker.take(event, time);
    if (event.state !== 'running') this.cli.err(`${settled(event)}\n`);
    else if (event.message !== undefined) this.cli.err(`${event.stage}: ${event.message}\n`);
    else if (
      time - (this.#last.get(event.stage) ?? time - REDRAW_MS) >= PLAIN_MS ||
      !this.#last.has(event.stage)
    ) {
      if (this.#last.has(event.stage))
        this.cli.err(`${event.stage}: ${counted(this.tracker.running.get(event.stage), time)}\n`);
      this.#last.set(event.stage, time);
    }
  };

  close(): void {}
}

class Bars extends Drawing implements ProgressRenderer {
  #drawn = 0;
  #last = Number.NEGATIVE_INFINITY;

  onEvent = (event: RunEvent): void => {
    const time = this.now();
    this.tracker.take(event, time);
    const isNews = event.state === 'cached' || event.state === 'done' || event.state === 'failed';
    if (!isNews && event.message === undefined && time - this.#last < REDRAW_MS) return;
    this.#last = time;
    this.#erase();
    if (isNews) this.cli.err(`${settled(event)}\n`);
    else if (event.message !== undefined) this.cli.err(`  ${event.stage}: ${event.message}\n`);
    this.#draw(time);
  };

  close(): void {
    this.#erase();
  }

  #draw(time: number): void {
    const width = this.cli.columns();
    const lines = [...this.tracker.running].map(([stage, running]) => barLine(stage, running, time, width));
    this.cli.err(lines.map((line) => `${line}\n`).join(''));
    this.#drawn = lines.length;
  }

  /** Cursor up over what was drawn, clear to the end of the screen. */
  #erase(): void {
    if (this.#drawn > 0) this.cli.control(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
  }
}

function settled(event: RunEvent): string {
  if (event.state === 'started') return `  ${event.stage}: started`;
  if (event.state === 'cached') return `· ${event.stage}: stored`;
  if (event.state === 'failed') return `✗ ${event.stage}: ${event.message ?? 'failed'}`;
  return `✓ ${event.stage}: ${duration(event.seconds ?? 0)}`;
}

function barLine(stage: string, running: Running, time: number, width: number): string {
  const { done, total } = running.event;
  const share = total ? Math.min(1, done / total) : 0;
  const cells = 20;
  const full = Math.round(share * cells);
  const bar = `${'█'.repeat(full)}${'░'.repeat(cells - full)}`;
  return `  ${stage.padEnd(24)} ${bar} ${counted(running, time)}`.slice(0, Math.max(20, width - 1));
}

/** `120/300 steps · 9.8/s · 18 s left · loss 0.12` */
function counted(running: Running | undefined, time: number): string {
  if (!running) return '';
  const { done, total, unit, figures } = running.event;
  const isBytes = unit === 'bytes';
  const amount = isBytes ? byteSize : String;
  const parts = [
    `${amount(done)}${total === undefined ? '' : `/${amount(total)}`}${unit && !isBytes ? ` ${unit}` : ''}`,
  ];
  const seconds = running.from ? (time - running.from.time) / 1000 : 0;
  const rate = running.from && seconds > 0.5 ? (done - running.from.done) / seconds : 0;
  if (rate > 0) {
    parts.push(`${isBytes ? byteSize(rate) : short(rate)}/s`);
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
