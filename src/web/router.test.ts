import { describe, expect, it } from 'vitest';
import { parseRoute, pathTo, type Route } from './router.ts';

describe('addresses', () => {
  it('come back from every route, whatever the run is called', () => {
    const names = ['demo', 'a b', '<b>&"', 'ü/…', '%2e%2e', 'שלום'];
    const routes: Route[] = [
      { page: 'runs' },
      { page: 'playground' },
      ...names.flatMap((run): Route[] => [
        { page: 'run', run },
        { page: 'samples', run },
        { page: 'map', run },
        { page: 'use', run },
        { page: 'fleet', fleet: run },
      ]),
    ];
    for (const route of routes) expect(parseRoute(pathTo(route))).toEqual(route);
  });

  it('that lead nowhere are unknown, never an error', () => {
    for (const path of ['/run', '/run/%', '/run/a/b', '/use', '/nothing', '/playground/x'])
      expect(parseRoute(path)).toEqual({ page: 'unknown' });
  });

  it('carry a query', () => {
    expect(pathTo({ page: 'samples', run: 'demo' }, { sample: 'a/b c' })).toBe(
      '/samples/demo?sample=a%2Fb+c',
    );
  });
});
