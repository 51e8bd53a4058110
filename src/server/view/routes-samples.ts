/** @file What is asked of samples: the list of prompts, one prompt's completions, what figures draw of them, ratings. */
import { Hono } from 'hono';
import { z } from 'zod';
import { exampleTable } from '../../figures/index.ts';
import { RatingStore, ratingChangeSchema, ratingsCsv } from './ratings.ts';
import { Refused } from './refused.ts';
import { resultsOf } from './routes-runs.ts';
import type { RunsFolder } from './runs-folder.ts';
import { SampleStore, sampleFilterSchema } from './samples.ts';
import { json, query } from './valid.ts';

/** One prompt: by its behaviour and id, or by the id of one of its rows. */
const groupQuery = sampleFilterSchema.extend({
  id: z.string().optional(),
  in: z.string().optional(),
  prompt: z.string().optional(),
});
const drawnQuery = z.object({ behaviour: z.string().regex(/^\d{1,6}$/, 'wanted the number of a behaviour') });

/** `now`: the clock of ratings. */
export function sampleRoutes(runs: RunsFolder, now: () => Date) {
  const samples = new SampleStore(runs);
  const ratings = new RatingStore(runs);
  return new Hono()
    .get('/runs/:run/samples', query(sampleFilterSchema), async (context) => {
      const run = context.req.param('run');
      await runs.run(run);
      return context.json(await samples.index(run, context.req.valid('query'), await ratings.read(run)));
    })
    .get('/runs/:run/drawn', query(drawnQuery), async (context) => {
      const run = context.req.param('run');
      const at = Number(context.req.valid('query').behaviour);
      const behaviour = (await resultsOf(runs, run)).behaviours[at];
      if (!behaviour) throw new Refused(404, `run ${run}: no such behaviour`);
      const all = await samples.ofBehaviour(run, behaviour.pair.behaviour);
      const scores = all.flatMap(({ stage, behaviour: name, trigger, arm, map, scores: own }) =>
        stage === 'fidelity' && own ? [{ stage, behaviour: name, trigger, arm, map, scores: own }] : [],
      );
      // Single scores for violins, and the table of examples.
      return context.json({ scores, examples: exampleTable(behaviour, all) });
    })
    .get('/runs/:run/group', query(groupQuery), async (context) => {
      const run = context.req.param('run');
      const { id, in: behaviour, prompt: prompt_id, ...filter } = context.req.valid('query');
      const which = id
        ? { id }
        : { behaviour: needed('in', behaviour), prompt_id: needed('prompt', prompt_id) };
      return context.json(await samples.group(run, which, filter, await ratings.read(run)));
    })
    .put('/runs/:run/ratings', json(ratingChangeSchema), async (context) => {
      const run = context.req.param('run');
      const change = context.req.valid('json');
      if (!(await samples.has(run, change.id)))
        throw new Refused(404, `run ${run}: no sample is called ${change.id}`);
      return context.json({ rating: await ratings.change(run, change, now().toISOString()) });
    })
    .get('/runs/:run/ratings', async (context) => {
      const run = context.req.param('run');
      await runs.run(run);
      const all = await ratings.read(run);
      if (context.req.query('format') !== 'csv') return context.json(all);
      context.header('Content-Type', 'text/csv; charset=utf-8');
      context.header(
        'Content-Disposition',
        `attachment; filename="ratings.csv"; filename*=UTF-8''${encodeURIComponent(run)}-ratings.csv`,
      );
      return context.body(ratingsCsv(all, await samples.byId(run)));
    });
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new Refused(400, `${name}: wanted a value, got none`);
  return value;
}
