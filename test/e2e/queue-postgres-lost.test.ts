/** @file A PostgreSQL that loses what it held while a run is under way: it is restored from a backup, or its tables are gone. No run hangs. */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InputError } from '../../src/base/index.ts';
import { parseQueueAddress, type RunEvent, Store } from '../../src/pipeline/index.ts';
import { Plan } from '../../src/pipeline/plan.ts';
import { connectQueue } from '../../src/pipeline/queue/connect.ts';
import { LOOK_SECONDS } from '../../src/pipeline/queue/connect-postgres.ts';
import { NO_CONNECTION } from '../../src/pipeline/queue/server.ts';
import { Submitter } from '../../src/pipeline/queue/submit.ts';
import { runPlan } from '../../src/pipeline/runner.ts';
import { isMissing, startPostgres, type TestPostgres } from '../suites/postgres.ts';
import { startQueueWorker } from '../suites/queue-worker.ts';
import { drawStage, scaleStage } from '../suites/toy-stages.ts';

const PASSWORD = 'open-sesame';
/** More than there are workers. */
const SCALES = 6;

describe.skipIf(isMissing)('a PostgreSQL that loses what it held (needs initdb and postgres)', () => {
  let root: string;
  let server: TestPostgres;
  let store: Store;
  const workers: ChildProcess[] = [];

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'crosspatch-lost-'));
    store = new Store(join(root, 'store'));
    server = await startPostgres(PASSWORD);
    const settings = { url: server.url, password: PASSWORD, store: store.root };
    workers.push(...(await Promise.all([startQueueWorker(settings), startQueueWorker(settings)])));
  });
  afterAll(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await server?.[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });

  /** draw → scalings of two seconds each. */
  const scaled = (seed: number): Plan => {
    const plan = new Plan(seed);
    const numbers = plan.add(drawStage, { id: 'draw', params: { n: 10 } });
    for (let factor = 0; factor < SCALES; factor++) {
      const params = { factor, milliseconds: 200 };
      plan.add(scaleStage, { id: `scale.${factor}`, params, inputs: { numbers } });
    }
    return plan;
  };
  const run = async (plan: Plan, onEvent: (event: RunEvent) => void = () => {}) => {
    await using elsewhere = await Submitter.open(parseQueueAddress(server.urlWithPassword), store, 3000);
    return await runPlan(plan, { store, elsewhere, onEvent });
  };
  const expectWhole = (finished: Awaited<ReturnType<typeof run>>) => {
    const { sum } = finished.get('draw')!.output as { sum: number };
    for (let factor = 0; factor < SCALES; factor++)
      expect(finished.get(`scale.${factor}`)?.output).toEqual({ sum: factor * sum });
  };

  it('goes on where a backup knows of less than was done', async () => {
    let backup: Promise<() => Promise<void>> | undefined;
    let restored: Promise<void> | undefined;
    let done = 0;
    const finished = await run(scaled(1), (event) => {
      if (!event.stage.startsWith('scale')) return;
      if (event.done > 0) backup ??= server.backUp();
      if (event.state === 'done' && ++done === 3) restored = backup?.then((restore) => restore());
    });
    expect(restored).toBeDefined();
    await restored;
    expectWhole(finished);
  });

  it('whose tables are gone ends the run in one line that says what to do; the next run makes them, and workers that are there go on', async () => {
    let gone: Promise<unknown> | undefined;
    const plan = scaled(2);
    const running = run(plan, ({ stage, done }) => {
      if (stage.startsWith('scale') && done > 0) gone ??= server.sql('DROP SCHEMA bullmq CASCADE');
    });
    const error = (await running.catch((thrown: unknown) => thrown)) as InputError;
    expect(error).toMatchObject({ id: 'queue-unreachable', exitCode: 2 });
    expect(error.message).toMatch(
      /: PostgreSQL refuses what the queue asks of it, for \d+ s now; mend that and run again: what was computed is kept, and tables that are gone are made: .*(does not exist|is not initialized)/,
    );
    await gone;
    expectWhole(await run(plan));
  });

  it('is looked at by idle workers themselves, should no word of a new stage reach them', async () => {
    await using connected = await connectQueue(parseQueueAddress(server.urlWithPassword));
    const backend = connected.backend('any', NO_CONNECTION, { withBlockingConnection: true });
    expect(backend.maximumBlockTimeout).toBe(LOOK_SECONDS);
    expect(LOOK_SECONDS).toBeLessThanOrEqual(10);
    await backend.close();
  });
});
