/** @file Prints which files took longest, then the last line every caller of the test command reads: `N passed, N failed`. */
import type { Reporter, TestModule } from 'vitest/node';

/** Files that are named with their seconds. */
const SLOWEST = 15;

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    let passed = 0;
    let failed = 0;
    let skipped = 0;
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'failed') failed++;
        else if (state === 'skipped') skipped++;
      }
      // A file that did not load has no tests, but it has failed.
      if (module.children.size === 0 && module.state() === 'failed') failed++;
    }
    process.stdout.write(slowest(modules));
    process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  }
}

function slowest(modules: readonly TestModule[]): string {
  const taken = modules.map((module) => {
    const { duration, collectDuration, setupDuration } = module.diagnostic();
    return { file: module.relativeModuleId, seconds: (duration + collectDuration + setupDuration) / 1000 };
  });
  const total = taken.reduce((sum, { seconds }) => sum + seconds, 0);
  const lines = taken
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, SLOWEST)
    .map(({ file, seconds }) => `${seconds.toFixed(0).padStart(5)} s  ${file}\n`);
  return `${total.toFixed(0)} s in ${modules.length} files, most in:\n${lines.join('')}`;
}
