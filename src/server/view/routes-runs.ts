/** @file What is asked of runs: the list, one run, its results and report, two compared, and what happens in one as it happens. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { z } from 'zod';
import {
  compareResults,
  type FigureDifference,
  flattenResults,
  readResultsSoFar,
} from '../../pipeline/index.ts';
import { verdicts } from '../../report/index.ts';
import { fleetDetail, listFleets } from './fleets.ts';
import { Refused } from './refused.ts';
import type { RunsFolder } from './runs-folder.ts';
import { followRun } from './tail.ts';
import { useGuides } from './use-guides.ts';
import { query } from './valid.ts';

/** The report is a file from the runs folder: shown, never given this origin. */
const REPORT_SECURITY =
  "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const HEARTBEAT_MS = 15_000;
const compareQuery = z.object({ a: z.string().min(1), b: z.string().min(1) });

export function runRoutes(
  runs: RunsFolder,
  { version, changeKey }: { readonly version: string; readonly changeKey: string | undefined },
) {
  return new Hono()
    .get('/session', (context) =>
      // Name of the runs folder, without the path to it; `only`: the one run this server was opened on; `changeKey`: see the guard.
      context.json({ version, folder: runs.name, only: runs.only, changeKey }),
    )
    .get('/fleets', async (context) => context.json(await listFleets(runs)))
    .get('/fleets/:fleet', async (context) =>
      context.json(await fleetDetail(runs, context.req.param('fleet'))),
    )
    .get('/runs', async (context) => context.json(await runs.list()))
    .get('/runs/:run', async (context) => context.json(await runs.detail(context.req.param('run'))))
    .get('/runs/:run/results', async (context) => {
      const run = context.req.param('run');
      const results = await resultsOf(runs, run);
      // The run goes on: these are what its finished stages found.
      const partial = !(await runs.find(run, 'results.json'));
      return context.json({ results, partial, verdicts: verdicts(results) });
    })
    .get('/runs/:run/use', async (context) => context.json(await useGuides(runs, context.req.param('run'))))
    .get('/runs/:run/report', async (context) => {
      const path = await runs.path(context.req.param('run'), 'report.html');
      context.header('Content-Security-Policy', REPORT_SECURITY);
      context.header('Content-Type', 'text/html; charset=utf-8');
      return context.body(Readable.toWeb(createReadStream(path)) as ReadableStream);
    })
    .get('/compare', query(compareQuery), async (context) => {
      const { a, b } = context.req.valid('query');
      return context.json(await compare(runs, a, b));
    })
    .get('/runs/:run/events', async (context) => {
      const run = context.req.param('run');
      await runs.run(run);
      // A browser that reconnects says where it was; a page that lost the browser's memory says so in the address.
      const from = Number(context.req.header('last-event-id') ?? context.req.query('from') ?? 0);
      return streamSSE(context, async (sse) => {
        const stop = new AbortController();
        sse.onAbort(() => stop.abort());
        const beat = setInterval(() => void sse.write(': still here\n\n').catch(() => {}), HEARTBEAT_MS);
        try {
          await sse.write('retry: 1000\n\n');
          const start = Number.isSafeInteger(from) && from > 0 ? from : 0;
          for await (const { event, data, id } of followRun(runs, run, { from: start, signal: stop.signal }))
            await sse.writeSSE({ event, data: JSON.stringify(data), id });
        } finally {
          clearInterval(beat);
        }
      });
    });
}

/** Two runs figure by figure: those that differ, and how many are equal. */
async function compare(
  runs: RunsFolder,
  a: string,
  b: string,
): Promise<{ a: string; b: string; differences: readonly FigureDifference[]; equal: number }> {
  const [left, right] = [await resultsOf(runs, a), await resultsOf(runs, b)];
  const differences = compareResults(left, right);
  const paths = new Set([left, right].flatMap((r) => flattenResults(r).map((figure) => figure.path)));
  return { a, b, differences, equal: paths.size - differences.length };
}

/** The results of a run, or what there is of them. */
export async function resultsOf(runs: RunsFolder, run: string) {
  const folder = await runs.run(run);
  if (!(await runs.hasResults(run))) throw new Refused(404, `run ${run}: no results yet`);
  return readResultsSoFar(folder);
}
