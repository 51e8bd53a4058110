/** @file Follows a run: new lines of `log.jsonl`, a new manifest, new results. Positions are byte offsets, so any reader can go on where another stopped. */
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Manifest } from '../../contracts/index.ts';
import { type LogLine, PREVIEW, readLogLine, readManifest } from '../../pipeline/index.ts';
import { markOf, type RunsFolder } from './runs-folder.ts';

/**
 * Server-sent events of a run, by event name. The id of a `log` event is the byte offset after its line in `log.jsonl`, so a
 * connection cut anywhere goes on there, also when the server was started again in between.
 */
export interface RunEvents {
  readonly manifest: Manifest;
  readonly log: LogLine;
  /** The log was replaced by a shorter one: forget what came before. */
  readonly reset: null;
  /** What is in the log so far has been sent. */
  readonly live: null;
  /** Results (whole or in part) or the report are new. */
  readonly results: null;
}

/** What {@link followRun} yields. */
export type Followed = {
  readonly [E in keyof RunEvents]: { readonly event: E; readonly data: RunEvents[E]; readonly id?: string };
}[keyof RunEvents];

/** Most bytes read at once; a longer line is passed over. */
const CHUNK = 8 << 20;

/**
 * Everything that happens in a run folder from byte `from` of its log on, until `signal`. Looks every `interval` milliseconds
 * (file watching is not the same on all systems and misses renames on some). Defaults to 200.
 */
export async function* followRun(
  runs: RunsFolder,
  run: string,
  options: { readonly from?: number; readonly signal: AbortSignal; readonly interval?: number },
): AsyncGenerator<Followed, void, undefined> {
  const { signal, interval = 200 } = options;
  // Asked for each time: a link that leads out of the runs folder is never followed, whenever it is made.
  const find = (name: string) => runs.find(run, name).catch(() => undefined);
  // The report is written last, when the run is done.
  const markOfResults = async () =>
    (
      await Promise.all(
        ['results.json', PREVIEW, 'report.html'].map(async (name) => markOf(await find(name))),
      )
    ).join();
  let offset = options.from ?? 0;
  let manifestMark = '';
  let resultsMark = await markOfResults();
  let live = false;
  while (!signal.aborted) {
    const manifest = await find('manifest.json');
    const nowManifest = await markOf(manifest);
    if (manifest !== undefined && nowManifest !== manifestMark) {
      manifestMark = nowManifest;
      const data = await readManifest(dirname(manifest)).catch(() => undefined);
      if (data) yield { event: 'manifest', data };
    }
    const log = await find('log.jsonl');
    const size = log === undefined ? 0 : await sizeOf(log);
    if (size < offset) {
      offset = 0;
      yield { event: 'reset', data: null, id: '0' };
    }
    for (const line of log !== undefined && size > offset ? await linesFrom(log, offset) : []) {
      offset = line.end;
      if (line.data) yield { event: 'log', data: line.data, id: String(offset) };
    }
    const nowResults = await markOfResults();
    if (nowResults !== resultsMark) {
      resultsMark = nowResults;
      yield { event: 'results', data: null };
    }
    if (!live && size - offset < CHUNK) {
      live = true;
      yield { event: 'live', data: null };
    }
    if (size - offset < CHUNK) await pause(interval, undefined, { signal }).catch(() => {});
  }
}

/** Whole lines from byte `from` on, at most {@link CHUNK} bytes; a line that is no event has no data. */
async function linesFrom(path: string, from: number): Promise<{ end: number; data?: LogLine }[]> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(CHUNK), position: from });
  const bytes = buffer.subarray(0, bytesRead);
  const lines: { end: number; data?: LogLine }[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const data = readLogLine(bytes.toString('utf8', start, end));
    start = end + 1;
    lines.push({ end: from + start, data });
  }
  if (start === 0 && bytesRead === CHUNK) lines.push({ end: from + CHUNK });
  return lines;
}

/** Bytes of a regular file; 0 for anything else. */
async function sizeOf(path: string): Promise<number> {
  const info = await stat(path).catch(() => undefined);
  return info?.isFile() ? info.size : 0;
}
