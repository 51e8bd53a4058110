/** @file Entry of the web app. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { PALETTE } from '../figures/index.ts';
import { App } from './app.tsx';
import './style/page.css';
import './style/controls.css';
import './style/lists.css';
import './style/run.css';
import './style/samples.css';
import './style/map.css';
import './style/steer.css';
import './style/phone.css';

// The address carries the token once; the cookie has it now, so it leaves the address bar.
const query = new URLSearchParams(location.search);
if (query.has('token')) {
  query.delete('token');
  const rest = query.toString();
  history.replaceState(null, '', rest ? `${location.pathname}?${rest}` : location.pathname);
}
// Series have the figures' colours; the palette is their one source.
const colours = (i: 0 | 1) => Object.entries(PALETTE).map(([name, pair]) => `${name}:${pair[i]}`);
const palette = document.createElement('style');
palette.textContent = `:root{${colours(0).join(';')}}:root[data-theme=dark]{${colours(1).join(';')}}`;
document.head.append(palette);
const root = document.getElementById('app');
if (root)
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
