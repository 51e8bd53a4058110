/**
 * @file serve → promptfoo: a run's model is served plain and steered, promptfoo asks both, and what was red and green is counted.
 *
 *     PROMPTFOO="npx promptfoo@0.123.1" npx tsx test/interop/serve-promptfoo.ts RUN [PORT]
 *
 * RUN: a run folder with a document in use/BEHAVIOUR. Exits with 1 unless the steered model passes every test, and the plain one fails every
 * test with the trigger and passes the others. promptfoo needs a Node of its own (22.22 or later), so it is a command, not a dependency.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [run = '', port = '18080'] = process.argv.slice(2);
const PROGRAM = [process.execPath, '--import', 'tsx', resolve('src/cli/main.ts')] as const;

/** The command line in a child; its output goes where ours goes. */
function crosspatch(...args: readonly string[]): ChildProcess {
  const [command, ...before] = PROGRAM;
  return spawn(command, [...before, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function text({ stdout }: ChildProcess): Promise<string> {
  let all = '';
  for await (const piece of stdout ?? []) all += piece;
  return all;
}

interface Outcome {
  readonly success: boolean;
  readonly provider: { readonly label: string };
  readonly testCase: { readonly metadata: { readonly trigger: string } };
  readonly response?: { readonly output?: string };
  readonly gradingResult?: {
    readonly componentResults?: readonly { readonly pass: boolean; readonly reason: string }[];
  };
}

const place = await mkdtemp(join(tmpdir(), 'serve-promptfoo-'));
const config = join(place, 'promptfooconfig.yaml');
const url = `http://127.0.0.1:${port}/v1`;
const { behaviour, alias } = JSON.parse(
  await text(crosspatch('export', 'promptfoo', run, config, '--url', url, '--json')),
);
const model = join(run, 'models', `${behaviour}.target`);
const document = join(run, 'use', behaviour, `${alias}.json`);
const server = crosspatch('serve', '--model', model, '--alias', `${alias}=${document}`, '--port', port);
try {
  await once(server.stdout ?? server, 'data');
  const [command = 'npx', ...args] = (process.env.PROMPTFOO ?? 'npx promptfoo').split(' ');
  const out = join(place, 'out.json');
  spawnSync(command, [...args, 'eval', '-c', config, '--no-cache', '--no-table', '--no-share', '-o', out], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PROMPTFOO_DISABLE_TELEMETRY: '1',
      PROMPTFOO_DISABLE_UPDATE: '1',
      PROMPTFOO_CONFIG_DIR: place,
    },
  });
  const { results } = JSON.parse(await readFile(out, 'utf8')).results as { results: readonly Outcome[] };
  const count = (label: string, withTrigger: boolean) => {
    const own = results.filter(
      (r) => r.provider.label === label && (r.testCase.metadata.trigger === 'bad') === withTrigger,
    );
    return { green: own.filter((r) => r.success).length, red: own.filter((r) => !r.success).length };
  };
  const table = {
    'plain, trigger': count('plain', true),
    'plain, no trigger': count('plain', false),
    'steered, trigger': count('steered', true),
    'steered, no trigger': count('steered', false),
  };
  console.table(table);
  for (const label of ['plain', 'steered']) {
    const shown = results.find((r) => r.provider.label === label && r.testCase.metadata.trigger === 'bad');
    const said = shown?.gradingResult?.componentResults?.find(({ pass }) => !pass)?.reason ?? 'passed';
    console.log(
      `${label}, first test with the trigger: ${JSON.stringify(shown?.response?.output)}: ${said.split('\n')[0]}`,
    );
  }
  const isWanted =
    table['plain, trigger'].green === 0 &&
    table['plain, trigger'].red > 0 &&
    [table['plain, no trigger'], table['steered, trigger'], table['steered, no trigger']].every(
      ({ green, red }) => green > 0 && red === 0,
    );
  process.exitCode = isWanted ? 0 : 1;
} finally {
  server.kill('SIGTERM');
  await rm(place, { recursive: true, force: true });
}
