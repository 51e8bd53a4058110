import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  drawStage,
  failChildStage,
  failStage,
  scaleChildStage,
  scaleStage,
  totalStage,
} from '../../test/suites/toy-stages.ts';
import { AbortedError, InputError } from '../base/index.ts';
import { dryRun, type RunEvent, Store } from './index.ts';
import { Plan } from './plan.ts';
import { runPlan } from './runner.ts';

let root: string;
let store: Store;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'runner-'));
  store = new Store(join(root, 'store'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

interface Knobs {
  n: number;
  left: number;
  right: number;
  label: string;
  seed: number;
}
const BASE: Knobs = { n: 4, left: 2, right: 3, label: 'a', seed: 1 };

function toyPlan({ n, left, right, label, seed }: Knobs, scale = scaleStage): Plan {
  const plan = new Plan(seed);
  const numbers = plan.add(drawStage, { id: 'draw', params: { n } });
  const parts = [
    plan.add(scale, { id: 'scale.left', params: { factor: left }, inputs: { numbers } }),
    plan.add(scale, { id: 'scale.right', params: { factor: right }, inputs: { numbers } }),
  ];
  plan.add(totalStage, { id: 'total', params: { label }, inputs: { parts } });
  return plan;
}

/** Which stages a run computed, in any order. */
async function computed(plan: Plan, only?: string): Promise<string[]> {
  const started: string[] = [];
  const onEvent = (event: RunEvent) => {
    if (event.state === 'started') started.push(event.stage);
  };
  await runPlan(plan, { store, jobs: 2, onEvent, only });
  return started.sort();
}

describe('plan', () => {
  const keys = (knobs: Knobs) => new Map(toyPlan(knobs).nodes.map((node) => [node.id, node.key]));

  it('changing one knob changes the keys of what hangs on it, and no others', () => {
    const hangs: Record<keyof Knobs, string[]> = {
      n: ['draw', 'scale.left', 'scale.right', 'total'],
      left: ['scale.left', 'total'],
      right: ['scale.right', 'total'],
      label: ['total'],
      seed: ['draw', 'scale.left', 'scale.right', 'total'],
    };
    const knob = fc.constantFrom(...(Object.keys(hangs) as (keyof Knobs)[]));
    fc.assert(
      fc.property(knob, fc.integer({ min: 10, max: 1000 }), (name, value) => {
        const before = keys(BASE);
        const after = keys({ ...BASE, [name]: name === 'label' ? String(value) : value });
        const changed = [...after].filter(([id, key]) => before.get(id) !== key).map(([id]) => id);
        expect(changed).toEqual(hangs[name]);
      }),
    );
  });

  it('defaults count as written, and wrong parameters, ids and inputs are refused', () => {
    const plan = new Plan(1);
    const a = plan.add(drawStage, { id: 'a', params: {} });
    expect(plan.add(drawStage, { id: 'b', params: { n: 10 } }).key).toBe(a.key);
    expect(() => plan.add(drawStage, { id: 'c', params: { m: 1 } })).toThrow('plan: c:');
    expect(() => plan.add(drawStage, { id: 'a', params: {} })).toThrow('two nodes are called a');
    const stranger = { id: 'nowhere', key: '' };
    expect(() =>
      plan.add(scaleStage, { id: 'd', params: { factor: 1 }, inputs: { numbers: stranger } }),
    ).toThrow('no node is called nowhere');
  });

  it('sources are keyed by content, not by place', async () => {
    const plan = new Plan(1);
    await writeFile(join(root, 'x.txt'), 'same');
    await writeFile(join(root, 'y.txt'), 'same');
    const x = await plan.source('x', join(root, 'x.txt'));
    expect((await plan.source('y', join(root, 'y.txt'))).key).toBe(x.key);
    const held = async (id: string, weights: 'f32' | 'packed'): Promise<string> =>
      (await plan.source(id, join(root, 'x.txt'), { model: { role: 'source', name: 'x', weights } })).key;
    expect(await held('f', 'f32')).toBe(x.key);
    expect(await held('p', 'packed')).not.toBe(x.key);
    await expect(plan.source('z', join(root, 'z.txt'))).rejects.toThrow('z.txt: not found');
  });
});

describe('runPlan', () => {
  it('computes once, then only what a changed knob asks for', async () => {
    expect(await computed(toyPlan(BASE))).toEqual(['draw', 'scale.left', 'scale.right', 'total']);
    expect(await computed(toyPlan(BASE))).toEqual([]);
    expect(await computed(toyPlan({ ...BASE, left: 5 }))).toEqual(['scale.left', 'total']);
    expect(await computed(toyPlan({ ...BASE, label: 'b' }))).toEqual(['total']);
    expect(await computed(toyPlan({ ...BASE, seed: 2 }))).toEqual([
      'draw',
      'scale.left',
      'scale.right',
      'total',
    ]);
    const plan = toyPlan(BASE);
    const finished = await runPlan(plan, { store });
    const numbers = JSON.parse(
      await readFile(join(finished.get('draw')!.folder, 'numbers.json'), 'utf8'),
    ) as number[];
    const sum = numbers.reduce((a, b) => a + b, 0);
    expect(finished.get('scale.left')!.output).toEqual({ sum: sum * 2 });
    expect(finished.get('total')!.output).toMatchObject({
      behaviours: [{ strip_trigger: { value: sum * 5, n: 2 } }],
    });
  });

  it('starts what most hangs on first, so that two behaviours end side by side', async () => {
    const plan = new Plan(1);
    for (const name of ['a', 'b']) {
      const numbers = plan.add(drawStage, { id: `${name}.draw`, params: { n: name === 'a' ? 3 : 4 } });
      plan.add(scaleStage, { id: `${name}.scale`, params: { factor: 2 }, inputs: { numbers } });
    }
    const order: string[] = [];
    const onEvent = (event: RunEvent) => {
      if (event.state === 'started') order.push(event.stage);
    };
    await runPlan(plan, { store, jobs: 1, onEvent });
    expect(order).toEqual(['a.draw', 'b.draw', 'a.scale', 'b.scale']);
  });

  it('gives the same bytes in this process and side by side in children', async () => {
    const other = new Store(join(root, 'other'));
    const inChildren = { ...scaleChildStage, name: scaleStage.name };
    const one = await runPlan(toyPlan(BASE), { store, jobs: 1 });
    const states: string[] = [];
    const onEvent = (event: RunEvent) => {
      if (event.stage.startsWith('scale') && event.state !== 'running') states.push(event.state);
    };
    const two = await runPlan(toyPlan(BASE, inChildren), { store: other, jobs: 2, onEvent });
    expect(states).toEqual(['started', 'started', 'done', 'done']);
    for (const [id, node] of one) {
      const [a, b] = [node.folder, two.get(id)!.folder];
      for (const file of (await readdir(a)).filter((name) => name !== 'meta.json'))
        expect(await readFile(join(b, file))).toEqual(await readFile(join(a, file)));
    }
  });

  it('runs only what is asked for and what that needs', async () => {
    expect(await computed(toyPlan(BASE), 'scale.left')).toEqual(['draw', 'scale.left']);
    expect(await computed(toyPlan(BASE), 'scale')).toEqual(['scale.right']);
    await expect(computed(toyPlan(BASE), 'sclae')).rejects.toThrow(
      '--only sclae: no such stage; there are draw, scale, total',
    );
  });

  it('tells beforehand what is stored', async () => {
    await computed(toyPlan(BASE), 'draw');
    const stages = await dryRun(toyPlan(BASE), store);
    expect(stages.map((s) => [s.id, s.cached])).toEqual([
      ['draw', true],
      ['scale.left', false],
      ['scale.right', false],
      ['total', false],
    ]);
    await computed(toyPlan(BASE));
    const [, left] = await dryRun(toyPlan({ ...BASE, left: 9 }), store);
    expect(left.seconds).toBeGreaterThan(0);
  });

  it.each(['numbers.json', 'output.json'])('notices a damaged %s and computes it again', async (file) => {
    const plan = toyPlan(BASE);
    const { folder } = (await runPlan(plan, { store })).get('draw')!;
    const whole = await readFile(join(folder, file), 'utf8');
    await appendFile(join(folder, file), file === 'output.json' ? 'x' : ' ');
    const messages: string[] = [];
    await runPlan(plan, { store, onEvent: (e) => void (e.message && messages.push(e.message)) });
    expect(messages.join()).toContain('stored result is damaged');
    expect(await readFile(join(folder, file), 'utf8')).toBe(whole);
    await rm(join(folder, file));
    expect(await computed(plan)).toEqual(['draw']);
  });

  it('names the stage that failed, keeps exit codes and what was finished', async () => {
    const failing = (how: string) => {
      const plan = toyPlan(BASE);
      plan.add(how === 'kill' ? failChildStage : failStage, { id: 'bad', params: { how } });
      return runPlan(plan, { store, jobs: 1 });
    };
    await expect(failing('input')).rejects.toEqual(new InputError('bad: data.jsonl: empty'));
    await expect(failing('input')).rejects.toBeInstanceOf(InputError);
    await expect(failing('bug')).rejects.toThrow('bad: undefined is not a function');
    await expect(failing('kill')).rejects.toThrow('its process ended by SIGKILL');
    await expect(failing('nan')).rejects.toThrow('bad: its output has no JSON form');
    expect(await computed(toyPlan(BASE))).toEqual([]);
    expect((await readdir(store.root)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('stops on its signal and leaves nothing half done', async () => {
    const stop = new AbortController();
    const plan = new Plan(1);
    const numbers = plan.add(drawStage, { id: 'draw', params: { n: 50 } });
    plan.add(scaleChildStage, { id: 'slow', params: { factor: 1, milliseconds: 20 }, inputs: { numbers } });
    const onEvent = (event: RunEvent) => {
      if (event.stage === 'slow' && event.done >= 2) stop.abort();
    };
    await expect(runPlan(plan, { store, jobs: 2, signal: stop.signal, onEvent })).rejects.toBeInstanceOf(
      AbortedError,
    );
    const left = await readdir(store.root);
    expect(left.map((name) => name.split('-')[0])).toEqual(['draw']);
  });

  it('lets two runs share the work of one store', async () => {
    const started: string[] = [];
    const onEvent = (event: RunEvent) => {
      if (event.state === 'started') started.push(event.stage);
    };
    const run = () => runPlan(toyPlan(BASE), { store: new Store(store.root), jobs: 2, onEvent });
    const [a, b] = await Promise.all([run(), run()]);
    expect(started.sort()).toEqual(['draw', 'scale.left', 'scale.right', 'total']);
    expect(a.get('total')!.output).toEqual(b.get('total')!.output);
  });
});
