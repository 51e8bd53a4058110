/** @file What changes things on disk: recipes checked, runs started, stopped and deleted. */
import { Hono } from 'hono';
import { z } from 'zod';
import { recipeFields } from '../../contracts/index.ts';
import { bundledRecipes } from '../../pipeline/index.ts';
import type { Guard } from './guard.ts';
import type { RunControl } from './run-control.ts';
import { json, query } from './valid.ts';

/** Characters of a recipe; a body may be a little more. */
const yaml = z.string().max(200_000);
const beginQuery = z.object({ recipe: z.string().max(200).optional(), run: z.string().max(255).optional() });
const checkSchema = z.strictObject({
  yaml,
  change: z
    .strictObject({
      path: z.string().regex(/^[a-z_]+(\.[a-z_]+)*$/),
      value: z.union([z.string().max(2000), z.number(), z.array(z.string().max(200)).max(50)]).optional(),
    })
    .optional(),
});
const startSchema = z.strictObject({ name: z.string().max(200), yaml });
const deleteSchema = z.strictObject({ confirm: z.string().max(255) });

export function controlRoutes(control: RunControl, guard: Guard) {
  return new Hono()
    .get('/recipe/form', async (context) =>
      context.json({ fields: recipeFields(), recipes: await bundledRecipes() }),
    )
    .get('/recipe', query(beginQuery), async (context) =>
      context.json(await control.begin(context.req.valid('query'))),
    )
    .post('/recipe/check', json(checkSchema), async (context) => {
      const { yaml, change } = context.req.valid('json');
      return context.json(await control.check(yaml, change));
    })
    .post('/recipe/validate', guard.change, json(z.strictObject({ yaml })), async (context) =>
      context.json({ problem: await control.validate(context.req.valid('json').yaml) }),
    )
    .get('/running', (context) => context.json(control.running))
    .post('/runs', guard.change, json(startSchema), async (context) => {
      const { name, yaml } = context.req.valid('json');
      return context.json(await control.start(name, yaml));
    })
    .post('/runs/:run/stop', guard.change, json(z.strictObject({})), async (context) => {
      await control.stop(context.req.param('run'));
      return context.json({ stopped: true });
    })
    .post('/runs/:run/resume', guard.change, json(z.strictObject({})), async (context) => {
      await control.resume(context.req.param('run'));
      return context.json({ resumed: true });
    })
    .post('/runs/:run/delete', guard.change, json(deleteSchema), async (context) => {
      await control.delete(context.req.param('run'), context.req.valid('json').confirm);
      return context.json({ deleted: true });
    });
}
