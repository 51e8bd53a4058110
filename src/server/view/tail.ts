/** @file Follows a run: new lines of `log.jsonl`, a new manifest, new results. Positions are byte offsets, so any reader can go on where another stopped. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Manifest } from '../../contracts/index.ts';
import { type LogLine, PREVIEW, readManifest } from '../../pipeline/index.ts';

/** What {@link followRun} yields; `offset` is the byte behind the line. */
export type Followed =
  | { readonly event: 'log'; readonly offset: number; readonly data: LogLine }
  | { readonly event: 'manifest'; readonly data: Manifest }
  | { readonly event: 'reset' | 'live' | 'results'; readonly data: null };

const logLine = z.looseObject({
  time: z.string(),
  stage: z.string(),
  state: z.enum(['started', 'running', 'cached', 'done', 'failed']),
  done: z.number(),
  total: z.number().optional(),
  unit: z.string().optional(),
  figures: z.record(z.string(), z.number()).optional(),
  message: z.string().optional(),
  seconds: z.number().optional(),
});

/** Most bytes read at once; a longer line is passed over. */
const CHUNK = 8 << 20;

/**
 * Everything that happens in a run folder from byte `from` of its log on, until `signal`. Looks every `interval` milliseconds
 * (file watching is not the same on all systems and misses renames on some). Defaults to 200.
 */
export async function* followRun(
  folder: string,
  options: { readonly from?: number; readonly signal: AbortSignal; readonly interval?: number },
): AsyncGenerator<Followed, void, undefined> {
  const { signal, interval = 200 } = options;
  const [log, manifest] = ['log.jsonl', 'manifest.json'].map((name) => join(folder, name)) as [
    string,
    string,
  ];
  // The report is written last, when the run is done.
  const markOfResults = async () =>
    (
      await Promise.all(['results.json', PREVIEW, 'report.html'].map((name) => mark(join(folder, name))))
    ).join();
  let offset = options.from ?? 0;
  let manifestMark = '';
  let resultsMark = await markOfResults();
  let live = false;
  while (!signal.aborted) {
    const nowManifest = await mark(manifest);
    if (nowManifest !== manifestMark) {
      manifestMark = nowManifest;
      const data = await readManifest(folder).catch(() => undefined);
      if (data) yield { event: 'manifest', data };
    }
    const size = (await stat(log).catch(() => undefined))?.size ?? 0;
    if (size < offset) {
      offset = 0;
      yield { event: 'reset', data: null };
    }
    for (const line of size > offset ? await linesFrom(log, offset) : []) {
      offset = line.end;
      if (line.data) yield { event: 'log', offset, data: line.data };
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
    const data = parse(bytes.toString('utf8', start, end));
    start = end + 1;
    lines.push({ end: from + start, ...(data ? { data } : {}) });
  }
  if (start === 0 && bytesRead === CHUNK) lines.push({ end: from + CHUNK });
  return lines;
}

function parse(text: string): LogLine | undefined {
  try {
    const parsed = logLine.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** Changes when the file does. */
async function mark(path: string): Promise<string> {
  const info = await stat(path).catch(() => undefined);
  return info ? `${info.mtimeMs} ${info.size} ${info.ino}` : '';
}
