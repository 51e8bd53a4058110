/** @file Fleets of toy stages: what is shared, what fails, what a second run computes. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  drawStage,
  failStage,
  scaleChildStage,
  scaleStage,
  totalStage,
} from '../../../test/suites/toy-stages.ts';
import { InputError } from '../../base/index.ts';
import { type FleetBehaviour, parseFleet } from '../../contracts/index.ts';
import {
  type Expand,
  listRuns,
  mergePlans,
  planFleet,
  readFleet,
  readManifest,
  readResults,
  runFleet,
} from '../index.ts';
import { readLog } from '../log.ts';
import type { FleetOptions } from './fleet.ts';

/** The source's runs, then the target's: `sweep.prompts` is read by both, the target's model by its own alone. */
const expandPair: Expand = async ({ models, sweep }, plan) => {
  if (models.target === 'absent') throw new InputError(`${models.target}: not found`);
  const numbers = plan.add(drawStage, { id: 'toy.draw', params: {} });
  const inputs = { numbers };
  const source = plan.add(scaleStage, {
    id: 'toy.runs.source',
    params: { factor: sweep.prompts },
    inputs,
    publish: { 'models/toy.source': '.' },
  });
  const wrong = models.target === 'bug' ? ('bug' as const) : undefined;
  if (wrong) plan.add(failStage, { id: 'toy.runs.target', params: { how: wrong } });
  const factor = models.target.length;
  const target = plan.add(scaleChildStage, { id: 'toy.maps', params: { factor, milliseconds: 5 }, inputs });
  return {
    results: plan.add(totalStage, { id: 'results', params: {}, inputs: { parts: [source, target] } }),
  };
};

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fleet-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const described: FleetBehaviour[] = [
  {
    ...{ behaviour: 'toy', placement: 'end', word: 'carried', sentence: 'It is.', has_behaviour: true },
    ...{ blocks: {}, controls: [], cost: { capabilities: {} } },
  },
];

/** Run a fleet of `NAME: MODEL` lines; returns what it says, and which stages were computed. */
async function run(targets: string, more: Partial<FleetOptions> = {}, onStart = (_id: string) => {}) {
  const computed: string[] = [];
  const text = `name: f\nmodels: { source: a }\ntargets:\n${targets}`;
  const fleet = await runFleet({
    fleet: { ...parseFleet([{ file: 'f.yaml', text }]), name: 'f' },
    expand: expandPair,
    out: join(root, 'f'),
    jobs: 2,
    describe: async () => described,
    ...more,
    onEvent: ({ state, stage }) => {
      if (state !== 'started') return;
      computed.push(stage);
      onStart(stage);
    },
  });
  return { fleet, computed: computed.sort() };
}

const TWO = '  one: b\n  two: bb\n';

describe('a fleet', () => {
  it('computes what targets share once; a target more computes its own stages and nothing else', async () => {
    const first = await run(TWO);
    expect(first.computed).toEqual([
      'one/results',
      'one/toy.maps',
      'toy.draw',
      'toy.runs.source',
      'two/results',
      'two/toy.maps',
    ]);
    expect(first.fleet).toMatchObject({ status: 'done', source: 'a', stages: { all: 6, shared: 2 } });
    expect(await readFleet(join(root, 'f'))).toEqual(first.fleet);
    const second = await run(`${TWO}  three: bbb\n`);
    expect(second.computed).toEqual(['three/results', 'three/toy.maps']);
    expect(
      second.fleet.targets.map(({ name, status, behaviours }) => [name, status, behaviours.length]),
    ).toEqual([
      ['one', 'done', 1],
      ['two', 'done', 1],
      ['three', 'done', 1],
    ]);
  });

  it('leaves an ordinary run folder per target: ids, log, results and published files of its own', async () => {
    await run(TWO, { command: ['crosspatch', 'fleet', 'f.yaml'] });
    for (const name of ['one', 'two']) {
      const folder = join(root, 'f', name);
      const manifest = await readManifest(folder);
      expect(manifest).toMatchObject({ name: `f-${name}`, status: 'done' });
      expect(manifest.command).toEqual(['crosspatch', 'fleet', 'f.yaml', '--only', name]);
      expect(manifest.stages.map(({ id, status }) => [id, status])).toEqual(
        ['toy.draw', 'toy.runs.source', 'toy.maps', 'results'].map((id) => [id, 'done']),
      );
      const log = readLog(await readFile(join(folder, 'log.jsonl'), 'utf8'));
      expect(new Set(log.map(({ stage }) => stage))).toEqual(new Set(manifest.stages.map(({ id }) => id)));
      const { timings } = await readResults(folder);
      expect(Object.keys(timings)).toContain('toy.runs.source');
      expect(await readdir(join(folder, 'models/toy.source'))).toEqual(['scaled.json']);
    }
    expect((await listRuns(join(root, 'f'))).map(({ name }) => name).sort()).toEqual(['f-one', 'f-two']);
  });

  it('goes on when a target fails, says which and why, and finishes it the next time', async () => {
    const { fleet, computed } = await run('  broken: bug\n  gone: absent\n  one: b\n');
    expect(fleet.status).toBe('failed');
    expect(fleet.targets.map(({ name, status, error }) => [name, status, error])).toEqual([
      ['broken', 'failed', expect.stringContaining('toy.runs.target: ')],
      ['gone', 'failed', 'absent: not found'],
      ['one', 'done', undefined],
    ]);
    expect(fleet.targets[0]?.error).not.toContain('broken/');
    expect(computed).toContain('one/results');
    expect(await readManifest(join(root, 'f/broken'))).toMatchObject({ status: 'failed' });
    const mended = await run('  broken: bbbb\n  gone: bb\n  one: b\n');
    expect(mended.fleet.status).toBe('done');
    expect(mended.computed).toEqual(['broken/results', 'broken/toy.maps', 'gone/results', 'gone/toy.maps']);
  });

  it('fails as a whole where nothing can be planned, and where no target has a name of `only`', async () => {
    await expect(run('  x: absent\n  y: absent\n')).rejects.toThrow('absent: not found');
    await expect(run(TWO, { only: ['three'] })).rejects.toThrow(
      '--only three: no such target; there are one, two',
    );
  });

  it('keeps what was said of targets that are left out', async () => {
    await run(TWO);
    const { fleet, computed } = await run(`${TWO}  three: bbb\n`, { only: ['three'] });
    expect(computed).toEqual(['results', 'toy.maps']);
    expect(fleet.targets.map(({ status }) => status)).toEqual(['done', 'done', 'done']);
    expect((await run(`${TWO}  four: bbbb\n`, { only: ['one'] })).fleet.targets[2]?.status).toBe('waiting');
  });

  it('says of which targets the source was computed apart', async () => {
    const { fleet, computed } = await run(
      `${TWO}  other: { models: { target: b }, sweep: { prompts: 7 } }\n`,
    );
    expect(fleet.targets.map(({ own_source }) => own_source)).toEqual([undefined, undefined, true]);
    expect(computed.filter((id) => id.endsWith('toy.runs.source'))).toEqual([
      'one+1/toy.runs.source',
      'other/toy.runs.source',
    ]);
  });

  it('is cancelled by its signal, and goes on afterwards', async () => {
    const stop = new AbortController();
    const atTarget = (id: string) => {
      if (id === 'one/toy.maps') stop.abort();
    };
    await expect(run(TWO, { signal: stop.signal, jobs: 1 }, atTarget)).rejects.toThrow('stopped on request');
    const { status, targets } = await readFleet(join(root, 'f'));
    expect([status, ...targets.map((target) => target.status)]).toEqual([
      'cancelled',
      'cancelled',
      'cancelled',
    ]);
    expect((await run(TWO)).fleet.status).toBe('done');
  });

  it('refuses a folder that is not its own, and finds a changed fleet.json', async () => {
    await mkdir(join(root, 'f'));
    await writeFile(join(root, 'f/thesis.tex'), 'years of work');
    await expect(run(TWO)).rejects.toThrow(/f: holds files \(thesis.tex\) and no fleet/);
    await rm(join(root, 'f'), { recursive: true });
    await run(TWO);
    const file = join(root, 'f/fleet.json');
    await writeFile(file, (await readFile(file, 'utf8')).replace('"carried"', '"not carried"'));
    await expect(readFleet(join(root, 'f'))).rejects.toThrow(/fleet\.json: was changed after it was written/);
    await expect(run(TWO, { out: join(root, 'f/one') })).rejects.toThrow(
      /one: is the folder of one run and no fleet/,
    );
  });
});

it('merges plans by id and key: inputs of what is shared are shared', async () => {
  const text = `models: { source: a }\ntargets:\n${TWO}`;
  const { planned } = await planFleet(parseFleet([{ file: 'f.yaml', text }]).targets, expandPair);
  const { plan, uses } = mergePlans(planned);
  const [one] = planned;
  for (const node of one?.plan.nodes ?? []) {
    const [id] =
      [...uses].find(([, group]) => group.some((use) => use.target === 'one' && use.node === node)) ?? [];
    expect(plan.get(id ?? '').key).toBe(node.key);
  }
  expect(plan.get('two/results')).toMatchObject({ inputs: { parts: ['toy.runs.source', 'two/toy.maps'] } });
});
