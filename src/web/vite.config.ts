/** @file Builds the web app into `dist/web`, where `crosspatch view` serves it from. */
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    outDir: '../../dist/web',
    emptyOutDir: true,
    // The page is served with a policy that forbids inline scripts.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      // Our layers do nothing when they are loaded; said here, the drawing library stays out of pages without figures.
      treeshake: { moduleSideEffects: [{ test: /\/src\/(figures|contracts)\//, sideEffects: false }] },
    },
  },
});
