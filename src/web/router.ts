/** @file The address is the state: path = page, query = what is chosen on it. No page keeps a choice anywhere else. */
import { useCallback, useMemo, useSyncExternalStore } from 'react';

/** Where the app is. */
export type Route =
  | { readonly page: 'runs' }
  | { readonly page: 'playground' | 'steer' | 'new' }
  | { readonly page: 'run' | 'samples' | 'map' | 'use'; readonly run: string }
  | { readonly page: 'fleet'; readonly fleet: string }
  | { readonly page: 'unknown' };

/** The route of a path; the name of a run or a fleet is one encoded segment. */
export function parseRoute(pathname: string): Route {
  const parts = pathname.split('/').filter((part) => part !== '');
  if (parts.length === 0) return { page: 'runs' };
  const [page, run] = parts;
  if ((page === 'playground' || page === 'steer' || page === 'new') && parts.length === 1) return { page };
  if ((isOfRun(page) || page === 'fleet') && run !== undefined && parts.length === 2) {
    try {
      const name = decodeURIComponent(run);
      return page === 'fleet' ? { page, fleet: name } : { page, run: name };
    } catch {
      return { page: 'unknown' };
    }
  }
  return { page: 'unknown' };
}

function isOfRun(page: string | undefined): page is 'run' | 'samples' | 'map' | 'use' {
  return page === 'run' || page === 'samples' || page === 'map' || page === 'use';
}

/** The path of a route, with an optional query. */
export function pathTo(route: Route, query: Readonly<Record<string, string>> = {}): string {
  const name = 'run' in route ? route.run : 'fleet' in route ? route.fleet : undefined;
  const path =
    name !== undefined
      ? `/${route.page}/${encodeURIComponent(name)}`
      : route.page === 'runs' || route.page === 'unknown'
        ? '/'
        : `/${route.page}`;
  const search = new URLSearchParams(query).toString();
  return search ? `${path}?${search}` : path;
}

/** The fleet that a run is of, by its id `FLEET~TARGET`. */
export function fleetOf(run: string): string | undefined {
  const [fleet, target] = run.split('~');
  return target === undefined ? undefined : fleet;
}

/** Go somewhere; `replace` leaves no entry to go back to (for text being typed, sliders being dragged). */
export function navigate(to: string, replace = false): void {
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  dispatchEvent(new PopStateEvent('popstate'));
}

export function useRoute(): Route {
  const pathname = useSyncExternalStore(subscribe, () => location.pathname);
  return useMemo(() => parseRoute(pathname), [pathname]);
}

/** What becomes of keys of the query; undefined takes one away. */
export type QueryChange = Readonly<Record<string, string | undefined>>;

/** The query, and a setter of some of its keys (undefined takes a key away). */
export function useQuery(): [
  (key: string) => string | undefined,
  (change: QueryChange, replace?: boolean) => void,
] {
  const search = useSyncExternalStore(subscribe, () => location.search);
  const get = useCallback((key: string) => new URLSearchParams(search).get(key) ?? undefined, [search]);
  const set = useCallback((change: QueryChange, replace = false) => {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(change))
      if (value === undefined) query.delete(key);
      else query.set(key, value);
    const text = query.toString();
    navigate(text ? `${location.pathname}?${text}` : location.pathname, replace);
  }, []);
  return [get, set];
}

function subscribe(listener: () => void): () => void {
  addEventListener('popstate', listener);
  return () => removeEventListener('popstate', listener);
}
