/** @file From events to where a run stands: what each stage has done, how fast, how long it will take. Pure. */
import type { Manifest, ManifestStage } from '../contracts/index.ts';
import type { RunEvents } from '../server/index.ts';

type LogLine = RunEvents['log'];

/** A point of a stage's live curves. */
export interface CurvePoint {
  readonly done: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** What the log says of one stage since it was last started. */
export interface StageProgress {
  readonly state: LogLine['state'];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly lastAt: number;
  readonly done: number;
  readonly total?: number;
  readonly unit?: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly curve: readonly CurvePoint[];
  /** Units a second over the last reports; undefined before there are two. */
  readonly rate?: number;
  /** Time and count of the last reports. */
  readonly marks: readonly (readonly [at: number, done: number])[];
}

/** A line of the log as the page shows it. */
export interface ShownLine {
  readonly key: number;
  readonly time: string;
  readonly stage: string;
  readonly text: string;
  readonly failed: boolean;
}

/** Everything the page knows from the log. */
export interface RunProgress {
  readonly stages: ReadonlyMap<string, StageProgress>;
  readonly lines: readonly ShownLine[];
  readonly count: number;
  readonly lastAt: number;
}

export const NOTHING: RunProgress = { stages: new Map(), lines: [], count: 0, lastAt: 0 };

/** Lines kept for showing, points kept a curve, reports a rate is taken over. */
const LINES = 2000;
const POINTS = 400;
const MARKS = 12;

/** `progress` after further lines of the log. */
export function fold(progress: RunProgress, more: readonly LogLine[]): RunProgress {
  if (more.length === 0) return progress;
  const stages = new Map(progress.stages);
  const lines: ShownLine[] = [];
  let { count, lastAt } = progress;
  for (const line of more) {
    const at = Date.parse(line.time) || lastAt;
    lastAt = Math.max(lastAt, at);
    stages.set(line.stage, advance(stages.get(line.stage), line, at));
    const text = sentence(line);
    if (text !== undefined)
      lines.push({ key: count++, time: line.time, stage: line.stage, text, failed: line.state === 'failed' });
  }
  return { stages, lines: [...progress.lines, ...lines].slice(-LINES), count, lastAt };
}

function advance(before: StageProgress | undefined, line: LogLine, at: number): StageProgress {
  const isNew = before === undefined || line.state === 'started' || line.state === 'cached';
  const marks = (isNew ? [] : before.marks)
    .concat(line.state === 'running' ? [[at, line.done]] : [])
    .slice(-MARKS);
  const first = marks[0];
  const last = marks.at(-1);
  const rate =
    first && last && last[0] > first[0] && last[1] > first[1]
      ? ((last[1] - first[1]) / (last[0] - first[0])) * 1000
      : undefined;
  const figures = line.figures ?? (isNew ? {} : before.figures);
  const curve = isNew ? [] : before.curve;
  const total = line.total ?? (isNew ? undefined : before.total);
  const unit = line.unit ?? (isNew ? undefined : before.unit);
  return {
    state: line.state,
    startedAt: isNew ? at : before.startedAt,
    lastAt: at,
    done: line.state === 'running' || isNew ? line.done : before.done,
    total,
    unit,
    figures,
    curve: line.figures && line.state === 'running' ? thin([...curve, { done: line.done, figures }]) : curve,
    rate,
    marks,
  };
}

/** Every other point but the last, once there are too many: old parts get coarser, the end stays. */
function thin(points: readonly CurvePoint[]): readonly CurvePoint[] {
  return points.length <= POINTS ? points : points.filter((_, i) => i % 2 === 0 || i === points.length - 1);
}

function sentence(line: LogLine): string | undefined {
  if (line.message !== undefined) return line.message;
  if (line.state === 'started') return 'started';
  if (line.state === 'cached') return 'taken from the store';
  if (line.state === 'done') return line.seconds === undefined ? 'done' : `done in ${duration(line.seconds)}`;
  return line.state === 'failed' ? 'failed' : undefined;
}

/** A stage as the page draws it: the manifest's word, filled in by the log. */
export interface StageView {
  readonly id: string;
  readonly status: ManifestStage['status'];
  /** 0…1; undefined while nothing is counted. */
  readonly share?: number;
  /** `120/300 steps · 9.8/s · 18 s left`. */
  readonly text: string;
  readonly secondsLeft?: number;
  readonly progress?: StageProgress;
  readonly needs: readonly string[];
  readonly error?: string;
}

/** Stages of a manifest with what the log knows of them. A log line may be newer than the manifest. */
export function stageViews(manifest: Manifest, progress: RunProgress): StageView[] {
  const ids = new Set(manifest.stages.map((stage) => stage.id));
  return manifest.stages.map((stage) => {
    const known = progress.stages.get(stage.id);
    const isLater =
      manifest.status === 'running' && known !== undefined && known.lastAt >= Date.parse(manifest.started_at);
    const status = isLater ? fromLog(known.state) : stage.status;
    const running = status === 'running' && known !== undefined;
    const share =
      status === 'done' || status === 'cached'
        ? 1
        : running && known.total
          ? Math.min(1, known.done / known.total)
          : undefined;
    const left =
      running && known.rate && known.total && known.total > known.done
        ? (known.total - known.done) / known.rate
        : undefined;
    return {
      id: stage.id,
      status,
      share,
      text: running ? counted(known, left) : settled(status, stage),
      secondsLeft: left,
      progress: known,
      needs: (stage.needs ?? []).filter((id) => ids.has(id)),
      error: stage.error,
    };
  });
}

function fromLog(state: LogLine['state']): ManifestStage['status'] {
  return state === 'started' ? 'running' : state;
}

function settled(status: ManifestStage['status'], { seconds }: ManifestStage): string {
  if (status === 'done' && seconds !== undefined) return duration(seconds);
  return status === 'cached' ? 'stored' : status;
}

function counted({ done, total, unit, rate }: StageProgress, left: number | undefined): string {
  const parts = [`${done}${total === undefined ? '' : `/${total}`}${unit ? ` ${unit}` : ''}`];
  if (rate !== undefined) parts.push(`${brief(rate)}/s`);
  if (left !== undefined) parts.push(`${duration(left)} left`);
  return parts.join(' · ');
}

/** `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** Three figures at most. */
export function brief(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1);
  return size >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
