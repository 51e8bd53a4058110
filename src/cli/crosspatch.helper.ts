/** @file The program as tests run it: arguments in, exit code and both streams out, in this process. */
import { expect } from 'vitest';
import { expandExperiment } from '../pipeline/index.ts';
import { runCli } from './index.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Run a command line. `stopOn`: Ctrl-C as soon as standard error holds this; `stdin`: what is piped into it; `confirm`: a person's answers. */
export async function crosspatch(
  argv: readonly string[],
  {
    stopOn,
    stdin = '',
    confirm,
  }: { stopOn?: string; stdin?: string; confirm?: (question: string) => Promise<boolean> } = {},
): Promise<Said> {
  const text = { out: '', err: '' };
  const stop = new AbortController();
  const cli = {
    out: (t: string) => void (text.out += t),
    err: (t: string) => {
      text.err += t;
      if (stopOn !== undefined && text.err.includes(stopOn)) stop.abort();
    },
    control: (t: string) => void (text.err += t),
    tty: false,
    columns: () => 100,
    stdin: async () => stdin,
    confirm,
    signal: stop.signal,
    expand: expandExperiment,
    exitCode: 0 as const,
  };
  return { code: await runCli(argv, cli, '1.2.3'), ...text };
}

/** Run it with `--json --quiet`; it must end well, say nothing else, and print one document. */
export async function crosspatchJson(argv: readonly string[]) {
  const { code, out, err } = await crosspatch([...argv, '--json', '--quiet']);
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out);
}
