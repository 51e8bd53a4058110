import { defineConfig } from 'vitest/config';

/** They count the memory and files of their process, so they have one of their own. */
const LEAKS = ['src/**/*.leaks.test.ts'];

/** Tiers: `tiny` (seconds, the claims a user would make), `unit` (beside the code), `leaks`, `parity` (goldens), `e2e` (browser, CLI, whole runs). */
export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A busy machine is slow, not wrong.
    expect: { poll: { timeout: 30_000 } },
    pool: 'forks',
    maxWorkers: 2,
    reporters: process.env.CI
      ? ['dot', './test/summary-reporter.ts']
      : ['default', './test/summary-reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'tiny',
          include: ['test/tiny.test.ts', 'test/architecture.test.ts', 'test/docs/links.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          // Files share a process: the engine and the schemas are loaded once, not two hundred times. A test that changes the process (environment,
          // timers, mocks) puts it back.
          isolate: false,
          include: ['src/**/*.test.ts', 'test/docs/**/*.test.ts', 'test/cases/**/*.test.ts'],
          exclude: ['test/docs/links.test.ts', ...LEAKS],
        },
      },
      { extends: true, test: { name: 'leaks', include: LEAKS } },
      { extends: true, test: { name: 'parity', include: ['test/parity/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 600_000 },
      },
    ],
  },
});
