/** @file The input of a request, read through a zod schema; what does not fit is refused with the field's name. */
import type { Context, Env, MiddlewareHandler } from 'hono';
import { validator } from 'hono/validator';
import type { z } from 'zod';
import { Refused } from './refused.ts';

/** A route whose input is checked: the browser's client takes its types from here. */
type Checked<Target extends 'json' | 'query', S extends z.ZodType> = MiddlewareHandler<
  Env,
  string,
  { in: { [K in Target]: z.input<S> }; out: { [K in Target]: z.output<S> } }
>;

/** The query of the address. */
export function query<S extends z.ZodType>(schema: S): Checked<'query', S> {
  return validator('query', (value) => read(schema, value, 'query')) as unknown as Checked<'query', S>;
}

/** A body of JSON. */
export function json<S extends z.ZodType>(schema: S): Checked<'json', S> {
  const check = validator('json', (value) => read(schema, value, 'body'));
  const handler = async (context: Context, next: () => Promise<void>) => {
    if (!context.req.header('content-type')?.startsWith('application/json'))
      throw new Refused(400, 'wanted a body of JSON (content-type application/json)');
    await context.req.json().catch(() => {
      throw new Refused(400, 'the body is not valid JSON');
    });
    return check(context as Parameters<typeof check>[0], next);
  };
  return handler as unknown as Checked<'json', S>;
}

function read<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Refused(400, `${issue?.path.join('.') || where}: ${issue?.message}`);
}
