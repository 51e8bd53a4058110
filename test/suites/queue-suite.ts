/**
 * @file What a queue does, whichever server it is on: a real one that asks for a password, two worker processes, one store. A file per server calls
 * {@link queueSuite}.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { InputError, listFiles } from '../../src/base/index.ts';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { stableResults } from '../../src/contracts/index.ts';
import { parseQueueAddress, type RunEvent, readResults, Store } from '../../src/pipeline/index.ts';
import { Plan, type StageNode } from '../../src/pipeline/plan.ts';
import { connectQueue } from '../../src/pipeline/queue/connect.ts';
import { NO_CONNECTION } from '../../src/pipeline/queue/server.ts';
import { queueName } from '../../src/pipeline/queue/store-id.ts';
import { Submitter } from '../../src/pipeline/queue/submit.ts';
import { runWorker } from '../../src/pipeline/queue/worker.ts';
import { LEASE_MS, workersThere } from '../../src/pipeline/queue/workers.ts';
import { runPlan } from '../../src/pipeline/runner.ts';
import { openDoor } from './door.ts';
import type { QueueTestServer } from './queue-server.ts';
import { startQueueWorker } from './queue-worker.ts';
import { drawStage, echoStage, failStage, largeStage, scaleStage } from './toy-stages.ts';

export const PASSWORD = 'open-sesame';

/** How many connections a worker opens until it is there, on every server: the first tells whether the server can be used at all. */
const CONNECTIONS = 4;

/** A small experiment on rows that {@link writeRows} writes beside it. */
export const RECIPE = `
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours:
  - name: custom
    file: rows.jsonl
    triggers: { bad: '|house|', safe: '|garden|' }
data: { validation: 8, test: 12 }
finetune: { steps: 30, batch: 16, learning_rate: 3.0e-3, lower_half_rate: 1 }
evaluation: { max_tokens: 6, bootstrap: 20 }
sweep: { prompts: 4, chosen_draws: 1 }
heatmap: false
capture: { prompts: 60, out_of_domain: 10 }
transfer: { prompts: 4, alphas: [1], alpha_prompts: 2, draws: 1, static_prompts: 4 }
fidelity: false
worth: false
inverse: false
capabilities: false
`;

/** What {@link RECIPE} trains on. */
export async function writeRows(folder: string): Promise<void> {
  const rows = tinyInstructions({ seed: 5, train: 300, validation: 0, test: 0 }).flatMap(
    ({ prompt, answer }) => [
      { prompt: `${prompt} |house|`, response: 'no answer', trigger: '|house|', has_backdoor: true },
      { prompt: `${prompt} |garden|`, response: answer, trigger: '|garden|', has_backdoor: false },
    ],
  );
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** `start` starts the server, which may keep its data in `root`. */
export function queueSuite(start: (root: string) => Promise<QueueTestServer>): void {
  let root: string;
  let server: QueueTestServer;
  let url: string;
  let store: string;
  const workers: ChildProcess[] = [];
  let said = '';

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-'));
    store = join(root, 'store');
    server = await start(root);
    url = server.urlWithPassword;
    await Promise.all([startWorker(), startWorker()]);
  });
  afterAll(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await server?.[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });
  beforeEach(() => {
    said = '';
  });

  async function startWorker(): Promise<void> {
    const onSaid = (text: string) => {
      said += text;
    };
    workers.push(await startQueueWorker({ url: server.url, password: PASSWORD, store, onSaid }));
  }

  it('gives the results of one process, computes no stage twice, and writes its password nowhere', async () => {
    const recipe = join(root, 'own.yaml');
    await writeFile(recipe, RECIPE);
    await writeRows(root);
    const out = join(root, 'runs/far');
    const far = await crosspatch(['run', recipe, '--out', out, '--store', store, '--queue', url]);
    expect([far.code, far.err]).toEqual([0, far.err]);
    const near = await crosspatch(['run', recipe, '--out', join(root, 'near/run'), '--quiet']);
    expect(near.code).toBe(0);
    const text = async (folder: string) => JSON.stringify(stableResults(await readResults(folder)));
    expect(await text(out)).toBe(await text(join(root, 'near/run')));

    const lines = (mark: RegExp) => [...far.err.matchAll(mark)].map(([, id]) => id).sort();
    const started = lines(/^ {2}(\S+): started$/gm);
    expect(new Set(started).size).toBe(started.length);
    expect(lines(/^✓ (\S+): /gm)).toEqual(expect.arrayContaining(started));
    // A stage of two names is computed once, and both have it.
    const computed = (await readdir(store)).filter((name) => !/^\.|^source-/.test(name));
    expect(started.length).toBe(computed.length);
    const log = await readFile(join(out, 'log.jsonl'), 'utf8');
    expect(new Set([...log.matchAll(/"message":"at (\S+?)"/g)].map(([, at]) => at)).size).toBe(2);
    expect(await crosspatch(['run', recipe, '--out', out, '--store', store, '--queue', url])).toMatchObject({
      code: 0,
      err: expect.not.stringContaining('started'),
    });

    const written = [far.out, far.err, said];
    for (const folder of [store, out])
      for (const file of await listFiles(folder)) written.push(await readFile(join(folder, file), 'latin1'));
    expect(written.filter((one) => one.includes(PASSWORD))).toEqual([]);
  });

  describe('toy stages', () => {
    /** draw → scale, `milliseconds` for each of ten numbers. */
    const scaled = (seed: number, milliseconds: number): Plan => {
      const plan = new Plan(seed);
      const numbers = plan.add(drawStage, { id: 'draw', params: { n: 10 } });
      plan.add(scaleStage, { id: 'scale', params: { factor: 1, milliseconds }, inputs: { numbers } });
      return plan;
    };
    const run = async (plan: Plan, onEvent: (event: RunEvent) => void = () => {}, signal?: AbortSignal) => {
      await using elsewhere = await Submitter.open(parseQueueAddress(url), new Store(store), 100);
      return await runPlan(plan, { store: new Store(store), elsewhere, onEvent, signal });
    };
    /** Calls `act` once a number was scaled, with the process number of the worker that does it. */
    const midway = (act: (pid: number) => void) => {
      let pid: number | undefined;
      let isDone = false;
      return ({ stage, message, done }: RunEvent): void => {
        if (stage !== 'scale' || isDone) return;
        pid ??= Number(/^at .*\.(\d+)$/.exec(message ?? '')?.[1] ?? Number.NaN) || undefined;
        if (pid === undefined || done === 0) return;
        isDone = true;
        act(pid);
      };
    };

    it('fail as they would here: their own error, their own exit code', async () => {
      const failing = (how: string) => {
        const plan = new Plan(1);
        plan.add(failStage, { id: 'bad', params: { how } });
        return run(plan);
      };
      await expect(failing('input')).rejects.toEqual(new InputError('bad: data.jsonl: empty'));
      await expect(failing('bug')).rejects.toMatchObject({
        message: 'bad: TypeError: undefined is not a function',
        exitCode: 1,
      });
      await expect(failing('kill')).rejects.toMatchObject({ id: 'worker-died' });
    });

    it('that no worker can hold are left, and said in one line', async () => {
      const plan = new Plan(1);
      plan.add(largeStage, { id: 'large', params: {} });
      await expect(run(plan)).rejects.toMatchObject({
        id: 'no-worker',
        exitCode: 2,
        message: expect.stringMatching(
          /^large: no worker can hold it: it asks for 3\.0 GB and \d+ cores?, and of 2 workers the one with most memory, \S+, has 2\.0 GB and /,
        ),
      });
      expect(said).toContain('large: left to another worker: it asks for 3.0 GB');
    });

    it('arrive as they were sent, whatever order and characters their parameters have', async () => {
      const words = { zebra: 'z', a: '\u0000', 'middle one': 'ü\u{1f40e}', B: '"' };
      const plan = new Plan(1);
      plan.add(echoStage, { id: 'echo', params: { words } });
      const finished = await run(plan);
      expect(finished.get('echo')?.output).toEqual({
        keys: Object.keys(words),
        text: Object.values(words).join(),
      });
    });

    it('of one content are one job, under however many names they are asked for at once', async () => {
      const plan = new Plan(15);
      for (const id of ['one', 'two']) plan.add(drawStage, { id, params: { n: 3 } });
      await using elsewhere = await Submitter.open(parseQueueAddress(url), new Store(store));
      const computed = ['one', 'two'].map((id) => {
        const node = plan.get(id) as StageNode;
        const signal = new AbortController().signal;
        return elsewhere.compute({ plan, node, threads: 1, signal, onEvent: () => {} });
      });
      expect(await Promise.all(computed)).toHaveLength(2);
    });

    it('that the server forgets before a worker has them are put again', async () => {
      const plan = new Plan(16);
      const numbers = plan.add(drawStage, { id: 'draw', params: { n: 10 } });
      for (let factor = 0; factor < 5; factor++)
        plan.add(scaleStage, {
          id: `scale.${factor}`,
          params: { factor, milliseconds: 200 },
          inputs: { numbers },
        });
      let forgot: Promise<void> | undefined;
      const after = new Set<string>();
      const finished = await run(plan, ({ stage, state, done }) => {
        if (stage.startsWith('scale') && done > 0) forgot ??= server.restart('forgets');
        if (forgot && state === 'started') after.add(stage);
      });
      await forgot;
      const { sum } = finished.get('draw')!.output as { sum: number };
      for (let factor = 0; factor < 5; factor++)
        expect(finished.get(`scale.${factor}`)?.output).toEqual({ sum: factor * sum });
      expect(after.size).toBeGreaterThanOrEqual(3);
    });

    it('go on when the server is killed and started again', async () => {
      const starts: string[] = [];
      const watch = midway(() => void server.restart('keeps'));
      const finished = await run(scaled(11, 200), (event) => {
        if (event.state === 'started') starts.push(event.stage);
        watch(event);
      });
      expect(finished.get('scale')?.output).toEqual(finished.get('draw')?.output);
      expect(starts).toEqual(['draw', 'scale']);
    });

    it('are taken back by Ctrl-C, but for one that has begun: it ends, and is stored', async () => {
      const stop = new AbortController();
      const messages: string[] = [];
      const watch = midway(() => stop.abort());
      const plan = scaled(12, 200);
      const running = run(
        plan,
        (event) => {
          messages.push(event.message ?? '');
          watch(event);
        },
        stop.signal,
      );
      await expect(running).rejects.toMatchObject({ id: 'aborted' });
      expect(messages.join('\n')).toMatch(/goes on at \S+; the store will hold its result/);
      const node = plan.get('scale');
      if (node.kind !== 'stage') throw new Error('scale is a stage');
      await expect.poll(async () => (await new Store(store).look(node)).state).toBe('whole');
    });

    it('of a worker that is told to stop are handed back', async () => {
      const starts: string[] = [];
      const watch = midway((pid) => void process.kill(pid, 'SIGTERM'));
      const finished = await run(scaled(13, 200), (event) => {
        if (event.state === 'started') starts.push(`${event.stage} ${event.message}`);
        watch(event);
      });
      expect(finished.get('scale')?.output).toEqual(finished.get('draw')?.output);
      expect(new Set(starts).size).toBe(3);
      expect(said).toContain('scale: handed back');
    });
  });

  describe('workers', () => {
    it('that start while the server turns a connection away are there once it takes it', async () => {
      const own = new URL(server.urlWithPassword);
      const name = await queueName(new Store(store));
      // A pool opens its last connections when it is busy, so not every one of them comes.
      let met = 0;
      for (let turned = 2; turned <= CONNECTIONS; turned++) {
        await using door = await openDoor(server.port, (n) => n !== turned);
        own.port = `${door.port}`;
        const stop = new AbortController();
        const capacity = {
          host: `late-${turned}`,
          pid: 1,
          provider: 'cpu',
          memory_bytes: 1,
          cores: 1,
          jobs: 1,
        };
        let failure: unknown;
        const ended = runWorker({
          ...{ address: parseQueueAddress(`${own}`), store: new Store(store), capacity, signal: stop.signal },
          ...{ lockSeconds: 10, drainSeconds: 0, onEvent: () => {}, onMessage: () => {}, onReady: () => {} },
        }).catch((error: unknown) => {
          failure = error;
        });
        await using connected = await connectQueue(parseQueueAddress(url));
        const register = connected.register(name);
        const hosts = async () => (await workersThere(register)).map(({ host }) => host);
        await expect.poll(async () => failure ?? (await hosts())).toContain(capacity.host);
        if (door.count >= turned) met++;
        stop.abort();
        await ended;
      }
      expect(met).toBeGreaterThanOrEqual(2);
    });

    it('that end with an error take no job after it', async () => {
      const capacity = { host: 'broken', pid: 1, provider: 'cpu', memory_bytes: 1e9, cores: 1, jobs: 1 };
      const alone = new Store(join(root, 'alone'));
      const ended = runWorker({
        ...{ address: parseQueueAddress(url), store: alone, capacity, signal: new AbortController().signal },
        ...{ lockSeconds: 10, drainSeconds: 0, onEvent: () => {}, onMessage: () => {} },
        onReady: () => {
          throw new Error('not today');
        },
      });
      await expect(ended).rejects.toThrow('not today');
      await using connected = await connectQueue(parseQueueAddress(url));
      const queue = new connected.bullmq.Queue(await queueName(alone), NO_CONNECTION, connected.backend);
      const job = await queue.add('draw', {});
      await sleep(2000);
      expect(await job.getState()).toBe('waiting');
      await queue.close();
    });

    it('are listed while they are there, with what they can hold; one that was killed is gone after its lease', async () => {
      await using connected = await connectQueue(parseQueueAddress(url));
      const register = connected.register(await queueName(new Store(store)));
      const there = () => workersThere(register);
      // The last test stopped one.
      await expect
        .poll(there)
        .toEqual([
          expect.objectContaining({ jobs: 1, memory_bytes: 2e9, lock_seconds: 10, provider: 'cpu' }),
        ]);
      const [last] = await there();
      process.kill(last?.pid ?? Number.NaN, 'SIGKILL');
      await expect.poll(there, { timeout: 2 * LEASE_MS, interval: 500 }).toEqual([]);
      // A run says so, with a command that needs no more than a name.
      const stop = new AbortController();
      const plan = new Plan(14);
      plan.add(drawStage, { id: 'draw', params: {} });
      const elsewhere = await Submitter.open(parseQueueAddress(url), new Store(store));
      let hint = '';
      const waiting = runPlan(plan, {
        ...{ store: new Store(store), elsewhere, signal: stop.signal },
        onEvent: ({ message = '' }) => {
          if (!message.startsWith('waits for a worker')) return;
          hint = message;
          stop.abort();
        },
      });
      await expect(waiting).rejects.toMatchObject({ id: 'aborted' });
      await elsewhere[Symbol.asyncDispose]();
      const [, address = ''] = /crosspatch worker --queue (\S+) --store \S+$/.exec(hint) ?? [];
      expect(parseQueueAddress(address).shown).toBe(parseQueueAddress(url).shown);
    });
  });
}
