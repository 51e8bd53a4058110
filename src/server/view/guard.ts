/**
 * @file Who may ask: only pages of this very server, opened with this start's token. The address carries the token once; from
 * then on it is a cookie (`HttpOnly`, `SameSite=Strict`) or, for programs, `Authorization: Bearer`.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { Refused } from './refused.ts';

export interface Guard {
  /** Refuses foreign hosts and foreign pages: DNS rebinding, forms and images of other sites. */
  readonly ownPage: MiddlewareHandler;
  /** Refuses requests without the token. */
  readonly token: MiddlewareHandler;
  /** Refuses requests that change runs but come from no page of this server, or without the key that such a page was given. */
  readonly change: MiddlewareHandler;
  /** The key that a page sends with a change; undefined where nothing may be changed. */
  readonly changeKey: string | undefined;
  /** Whether the request carries the token, in its address, cookie or header; sets the cookie when it came in the address. */
  admit(context: Context): boolean;
}

/** Header of {@link Guard.changeKey}. No form can send it, and no other site without asking first. */
export const CHANGE_HEADER = 'x-crosspatch-change';

/**
 * `port()` is asked for at each request, since a server may pick its port when it starts. `readOnly`: runs may be looked at, not started,
 * stopped or deleted. Defaults to false.
 */
export function makeGuard(
  token: string,
  port: () => number,
  { readOnly = false }: { readonly readOnly?: boolean } = {},
): Guard {
  const same = (given: string | undefined, wanted: string) =>
    given !== undefined && timingSafeEqual(digest(given), digest(wanted));
  const fits = (given: string | undefined) => same(given, token);
  const changeKey = readOnly ? undefined : randomBytes(24).toString('base64url');
  const cookieName = () => `crosspatch-${port()}`;
  const admit = (context: Context): boolean => {
    const [scheme, bearer] = (context.req.header('authorization') ?? '').split(' ');
    if (scheme?.toLowerCase() === 'bearer' && fits(bearer)) return true;
    if (fits(getCookie(context, cookieName()))) return true;
    if (!fits(context.req.query('token'))) return false;
    setCookie(context, cookieName(), token, { httpOnly: true, sameSite: 'Strict', path: '/' });
    return true;
  };
  return {
    admit,
    changeKey,
    change: async (context, next) => {
      if (changeKey === undefined)
        throw new Refused(403, 'this app was started with --read-only: it changes nothing');
      // A browser names the page that asks in every such request; the page's own origin was checked before.
      if (context.req.header('origin') === undefined)
        throw new Refused(403, 'no origin: only a page of this server may change runs');
      if (!same(context.req.header(CHANGE_HEADER), changeKey))
        throw new Refused(
          403,
          `no key in ${CHANGE_HEADER}, or that of an earlier start: load the page again`,
        );
      await next();
    },
    ownPage: async (context, next) => {
      const own = [`127.0.0.1:${port()}`, `localhost:${port()}`];
      const host = context.req.header('host') ?? '';
      if (!own.includes(host)) throw new Refused(403, `host ${host}: wanted ${own[0]}`);
      const origin = context.req.header('origin');
      if (origin !== undefined && origin !== `http://${host}`)
        throw new Refused(403, `origin ${origin}: only pages of this server may ask`);
      const site = context.req.header('sec-fetch-site');
      const isVisit = context.req.header('sec-fetch-mode') === 'navigate';
      if (!isVisit && (site === 'cross-site' || site === 'same-site'))
        throw new Refused(403, 'only pages of this server may ask');
      await next();
    },
    token: async (context, next) => {
      if (!admit(context))
        throw new Refused(401, 'no token, or that of an earlier start: open the address that `view` printed');
      await next();
    },
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
