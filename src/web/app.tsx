/** @file The frame around every page: where one can go, light or dark, and what to do when the server is gone. */
import { type FormEvent, lazy, type MouseEvent, type ReactNode, Suspense, useEffect, useState } from 'react';
import { useLink } from './client.ts';
import { RunsPage } from './pages/runs.tsx';
import { fleetOf, navigate, pathTo, type Route, useRoute } from './router.ts';

const RunPage = lazy(() => import('./pages/run.tsx'));
const SamplesPage = lazy(() => import('./pages/samples.tsx'));
const PlaygroundPage = lazy(() => import('./pages/playground.tsx'));
const SteerPage = lazy(() => import('./pages/steer.tsx'));
const NewRunPage = lazy(() => import('./pages/new-run.tsx'));
const MapPage = lazy(() => import('./pages/map.tsx'));
const FleetPage = lazy(() => import('./pages/fleet.tsx'));
const UsePage = lazy(() => import('./pages/use.tsx'));

export function App(): ReactNode {
  const route = useRoute();
  const key = 'run' in route ? `${route.page} ${route.run}` : route.page;
  const fleet = 'fleet' in route ? route.fleet : 'run' in route ? fleetOf(route.run) : undefined;
  useEffect(() => {
    document.title = `${title(route)} · crosspatch`;
  }, [route]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useKeyWithClickEvents: links inside bubble up here
    <div onClick={followLink}>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <header className="bar">
        <nav aria-label="Pages">
          <a href="/" className="brand">
            crosspatch
          </a>
          <Tab to="/" current={route.page === 'runs' || route.page === 'new'}>
            Runs
          </Tab>
          {fleet === undefined ? null : (
            <Tab to={pathTo({ page: 'fleet', fleet })} current={route.page === 'fleet'}>
              Fleet
            </Tab>
          )}
          {'run' in route ? (
            <>
              <Tab to={pathTo({ page: 'run', run: route.run })} current={route.page === 'run'}>
                Run
              </Tab>
              <Tab to={pathTo({ page: 'samples', run: route.run })} current={route.page === 'samples'}>
                Samples
              </Tab>
              <Tab to={pathTo({ page: 'map', run: route.run })} current={route.page === 'map'}>
                Map
              </Tab>
              <Tab to={pathTo({ page: 'use', run: route.run })} current={route.page === 'use'}>
                Use it
              </Tab>
            </>
          ) : null}
          <Tab to="/playground" current={route.page === 'playground'}>
            Playground
          </Tab>
          <Tab to="/steer" current={route.page === 'steer'}>
            Steer
          </Tab>
        </nav>
        <ThemeButton />
      </header>
      <LinkNotice />
      <main id="main" tabIndex={-1}>
        <Suspense fallback={<p className="soft">Loading…</p>}>
          <Page key={key} route={route} />
        </Suspense>
      </main>
    </div>
  );
}

function Page({ route }: { readonly route: Route }): ReactNode {
  switch (route.page) {
    case 'runs':
      return <RunsPage />;
    case 'run':
      return <RunPage run={route.run} />;
    case 'samples':
      return <SamplesPage run={route.run} />;
    case 'map':
      return <MapPage run={route.run} />;
    case 'use':
      return <UsePage run={route.run} />;
    case 'fleet':
      return <FleetPage fleet={route.fleet} />;
    case 'playground':
      return <PlaygroundPage />;
    case 'steer':
      return <SteerPage />;
    case 'new':
      return <NewRunPage />;
    case 'unknown':
      return (
        <>
          <h1>No such page</h1>
          <p>
            The address leads nowhere. Go to the <a href="/">list of runs</a>.
          </p>
        </>
      );
  }
}

function title(route: Route): string {
  if ('run' in route)
    return {
      run: route.run,
      samples: `Samples of ${route.run}`,
      map: `Map of ${route.run}`,
      use: `Use ${route.run}`,
    }[route.page];
  if ('fleet' in route) return `Fleet ${route.fleet}`;
  return { runs: 'Runs', playground: 'Playground', steer: 'Steer', new: 'New run', unknown: 'No such page' }[
    route.page
  ];
}

function Tab(props: {
  readonly to: string;
  readonly current: boolean;
  readonly children: string;
}): ReactNode {
  return (
    <a href={props.to} aria-current={props.current ? 'page' : undefined}>
      {props.children}
    </a>
  );
}

/** Links within the app change the page without loading it again; with a modifier key the browser has them. */
function followLink(event: MouseEvent): void {
  if (
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey ||
    event.altKey
  )
    return;
  const link = (event.target as Element).closest('a');
  const href = link?.getAttribute('href');
  if (
    !link ||
    !href?.startsWith('/') ||
    href.startsWith('/api/') ||
    link.target ||
    link.hasAttribute('download')
  )
    return;
  event.preventDefault();
  navigate(href);
  scrollTo(0, 0);
}

type Theme = 'light' | 'dark';

function ThemeButton(): ReactNode {
  const [theme, setTheme] = useState<Theme>(
    () =>
      (localStorage.getItem('crosspatch-theme') as Theme | null) ??
      (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'),
  );
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  const other = theme === 'dark' ? 'light' : 'dark';
  const change = () => {
    localStorage.setItem('crosspatch-theme', other);
    setTheme(other);
  };
  return (
    <button type="button" onClick={change} className="theme">
      {theme === 'dark' ? '☀' : '☾'} <span>{other}</span>
    </button>
  );
}

/** Shown while the server is away, or does not know this browser (it was started again). */
function LinkNotice(): ReactNode {
  const link = useLink();
  const [text, setText] = useState('');
  if (link === 'fine') return null;
  if (link === 'lost')
    return (
      <div className="notice" role="status">
        The server does not answer. This page goes on by itself as soon as it is there again.
      </div>
    );
  const open = (event: FormEvent) => {
    event.preventDefault();
    const token = /(?:[?&]token=)?([\w-]{20,})\s*$/.exec(text.trim())?.[1];
    if (!token) return;
    const query = new URLSearchParams(location.search);
    query.set('token', token);
    location.assign(`${location.pathname}?${query}`);
  };
  return (
    <form className="notice" onSubmit={open}>
      <p role="status">
        <strong>The server does not know this browser:</strong> it was started again, or the address lacked
        its token. Open the address that <code>crosspatch view</code> printed (this page then goes on by
        itself), or paste it here.
      </p>
      <label>
        Address or token{' '}
        <input
          value={text}
          onChange={(event) => setText(event.target.value)}
          autoComplete="off"
          spellCheck={false}
        />
      </label>{' '}
      <button type="submit">Go on</button>
    </form>
  );
}
