import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { expandToy } from '../../test/suites/toy-stages.ts';
import type { RunEvent } from '../pipeline/index.ts';
import { type Cli, createProgram, progressRenderer, runCli } from './index.ts';
import { withProgress } from './model.ts';

let root: string;
let file: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-'));
  file = join(root, 'toy.yaml');
  await writeFile(file, 'models: { source: a, target: b }\n');
});
afterEach(() => rm(root, { recursive: true, force: true }));

interface Outcome {
  code: number;
  out: string;
  err: string;
}

function fakeCli(): Cli & { text: { out: string; err: string } } {
  const text = { out: '', err: '' };
  return {
    text,
    out: (t) => void (text.out += t),
    err: (t) => void (text.err += t),
    control: (t) => void (text.err += t),
    tty: false,
    columns: () => 100,
    stdin: async () => '',
    signal: new AbortController().signal,
    expand: expandToy,
    exitCode: 0,
  };
}

async function crosspatch(...argv: string[]): Promise<Outcome> {
  const cli = fakeCli();
  const code = await runCli(argv, cli, '1.2.3');
  return { code, ...cli.text };
}

describe('usage', () => {
  it('shows help with an example for every command', async () => {
    const { commands } = createProgram(fakeCli(), '1');
    const names = commands.flatMap((command) =>
      command.commands.length > 0
        ? command.commands.map((sub) => `${command.name()} ${sub.name()}`)
        : [command.name()],
    );
    expect(names).toEqual(
      expect.arrayContaining(['demo', 'run', 'init', 'models inspect', 'generate', 'logits']),
    );
    for (const name of names) {
      const { code, out } = await crosspatch(...name.split(' '), '--help');
      expect(code).toBe(0);
      expect(out).toMatch(new RegExp(`Example:\\n( {2}\\$ .*\\n)* {2}\\$ crosspatch ${name}`));
      if (name === 'help' || name === 'completion') continue;
      expect(out).toContain('--json');
      expect(out).toContain('--quiet');
      expect(out).toContain('--seed');
    }
    expect((await crosspatch('--version')).out).toBe('1.2.3\n');
    expect((await crosspatch()).out).toContain('Usage: crosspatch');
  });

  it.each([
    [['vaildate'], /vaildate: no such command; did you mean "validate"/],
    [['help', 'rnu'], /rnu: no such command; did you mean "run"/],
    [['map', 'fitt'], /fitt: no such command; did you mean "fit"/],
    [['help', 'map', 'xyzzy'], /xyzzy: no such command; see crosspatch map --help/],
    [['run'], /missing required argument 'file'; see crosspatch run --help/],
    [['generate'], /'--model <model>' not specified; see crosspatch generate --help/],
    [['generate', '--modle', 'x'], /unknown option '--modle'; did you mean --model\?/],
    [['run', 'x.yaml', '--ot', 'y'], /unknown option '--ot'; did you mean --out\?/],
    [['run', 'x.yaml', '-j', 'many'], /-j many: wanted a whole number from 1/],
    [['run', 'no-such-file.yaml'], /no-such-file\.yaml: cannot be read/],
    [['run', 'dmeo'], /did you mean "demo"/],
    [['show', 'nowhere'], /nowhere: no results\.json yet/],
    [['status', 'nowhere'], /nowhere: no run folder/],
    [['validate'], /wanted a file/],
  ])('%j is bad usage: one line and exit 2', async (argv, message) => {
    const { code, out, err } = await crosspatch(...argv);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(/^error: [^\n]* \[[a-z-]+\]\n$/);
    expect(err).toMatch(message);
  });
});

it('shows the help of a command, of a group and of the program', async () => {
  for (const [name, usage] of [
    ['run', 'crosspatch run [options] <file>'],
    ['map fit', 'crosspatch map fit [options]'],
    ['map', 'crosspatch map [options] [command]'],
    ['', 'crosspatch [options] [command]'],
  ] as const) {
    const { code, out, err } = await crosspatch('help', ...name.split(' ').filter(Boolean));
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`Usage: ${usage}\n`);
  }
  // The value of an option may look like one.
  expect((await crosspatch('generate', '--prompt', '--dashes')).err).toContain("'--model <model>'");
});

it('control characters never reach the terminal', async () => {
  const name = 'x\u001b]0;owned\u0007\u009b31m\u202e\r';
  const { err } = await crosspatch('show', name);
  expect(err).toContain('x\\u001b]0;owned\\u0007\\u009b31m\\u202e');
  await writeFile(file, `models: { source: tiny-llama-s, target: tiny-llama-m }\ndescription: "\\e[2J"\n`);
  const { out } = await crosspatch('validate', file, '--json');
  expect(out).not.toMatch(/\p{Cc}(?<!\n)/u);
  expect(JSON.parse(out).resolved.description).toBe('\u001b[2J');
});

describe('init and validate', () => {
  it('write a file that is valid, and never over another', async () => {
    const mine = join(root, 'mine.yaml');
    expect(await crosspatch('init', mine, '--seed', '5')).toMatchObject({ code: 0 });
    const { code, out } = await crosspatch('validate', mine, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ valid: true, resolved: { seed: 5, name: 'mine' } });
    expect(await crosspatch('init', mine)).toMatchObject({ code: 2 });
  });

  it('list every mistake with line and column', async () => {
    await writeFile(file, 'models: { source: a, target: b }\nsweep:\n  promts: 1\nplacement: edn\n');
    const { code, out, err } = await crosspatch('validate', file);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(`error: ${file}:3:3: unknown key "promts" in sweep; did you mean "prompts"?`);
    expect(err).toContain(
      `error: ${file}:4:1: placement: wanted prefix | middle | end, got "edn"; did you mean "end"?`,
    );
  });

  it('check interventions and print schemas', async () => {
    const json = join(root, 'fix.json');
    await writeFile(
      json,
      JSON.stringify({ op: 'suppress', hook: 'blocks.0.hook_mlp_out', tokens: { promt: 'all' } }),
    );
    const { code, err } = await crosspatch('validate', json);
    expect(code).toBe(2);
    expect(err).toContain('unknown key "promt" in interventions[0].tokens; did you mean "prompt"?');
    expect(JSON.parse((await crosspatch('validate', '--schema')).out)).toMatchObject({
      title: 'crosspatch experiment',
    });
    expect(JSON.parse((await crosspatch('validate', '--schema', 'intervention')).out)).toMatchObject({
      type: 'object',
    });
  });
});

describe('run', () => {
  it('runs, resumes, reports; then status, list, show, compare and report read the folder', async () => {
    const out = join(root, 'runs/toy');
    const plan = await crosspatch('run', file, '--out', out, '--dry-run');
    expect(plan.out).toMatch(/toy\.scale\.left +to do/);
    expect(plan.out).toContain('4 of 4 stages to do');
    const first = await crosspatch('run', file, '--out', out);
    expect(first).toMatchObject({ code: 0 });
    expect(first.err).toContain('✓ toy.draw');
    expect(first.out).toContain(`report: ${join(out, 'report.html')}`);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toMatch(/^<!doctype html>/);

    const again = await crosspatch(
      'run',
      file,
      '--out',
      out,
      '--quiet',
      '--json',
      '--require',
      'toy.strip_trigger>=1',
    );
    expect(again).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(again.out)).toMatchObject({ status: 'done', requirements: [{ met: true }] });
    expect((await crosspatch('run', file, '--out', out, '--dry-run', '--json')).out).toContain('"stages": 0');
    expect(await crosspatch('run', file, '--out', out, '--require', 'toy.strip_trigger<0')).toMatchObject({
      code: 100,
    });
    expect(await crosspatch('run', file, '--out', out, '--require', 'toy.strip>=0.5')).toMatchObject({
      code: 2,
    });
    expect(await crosspatch('run', file, '--out', out, '--only', 'nothing')).toMatchObject({ code: 2 });

    const status = await crosspatch('status', out);
    expect(status.out).toMatch(/^toy: done\nnext: crosspatch show .*\n\nstage .*\ntoy\.draw +cached/);
    expect((await crosspatch('list', join(root, 'runs'))).out).toMatch(/toy +done/);
    const bad = join(root, 'runs/bad');
    await mkdir(bad);
    await writeFile(join(bad, 'manifest.json'), '[');
    expect((await crosspatch('list', join(root, 'runs'))).out).toMatch(/toy +done[\s\S]*bad +broken/);
    await rm(bad, { recursive: true });
    expect((await crosspatch('show', out, 'strip')).out).toMatch(/^figure .*\ntoy\.strip_trigger +\d+ +2 /);
    expect(await crosspatch('show', out, '--require', 'toy.strip_trigger>=1e9')).toMatchObject({ code: 100 });

    const other = join(root, 'runs/other');
    await crosspatch('run', file, '--out', other, '--seed', '8', '--set', 'sweep.prompts=9', '--quiet');
    expect((await crosspatch('compare', out, out)).out).toContain('the same figures');
    const compared = await crosspatch('compare', out, other, '--json');
    expect(JSON.parse(compared.out)).toMatchObject({
      equal: false,
      differences: [{ path: 'behaviours.toy.strip_trigger' }],
    });
    expect(JSON.parse(await readFile(join(other, 'manifest.json'), 'utf8'))).toMatchObject({
      seeds: { experiment: 8 },
    });
    expect((await crosspatch('report', out)).out).toContain('report.html');
    expect(await readdir(out)).toContain('figures');
  });
});

it('status says why a run stopped and how to go on', async () => {
  const out = join(root, 'my runs/toy');
  await crosspatch('run', file, '--out', out, '--quiet', '--seed', '4', '--set', 'sweep.prompts=9');
  const path = join(out, 'manifest.json');
  const { sha256: _, ...manifest } = JSON.parse(await readFile(path, 'utf8'));
  const said = async (changes: object) => {
    await writeFile(path, JSON.stringify({ ...manifest, ...changes }));
    return (await crosspatch('status', out)).out.split('\n').slice(0, 3).join('\n');
  };
  const again = `crosspatch run ${file} --set sweep.prompts=9 --seed 4 --out '${out}'`;
  expect(await said({ status: 'failed', error: 'toy.draw: no numbers' })).toBe(
    `toy: failed\nwhy: toy.draw: no numbers\nnext: mend the cause, then ${again}; finished stages are kept`,
  );
  expect(await said({ status: 'cancelled' })).toBe(
    `toy: cancelled\nwhy: it was stopped on request\nnext: ${again} goes on from here`,
  );
  expect(await said({ status: 'running' })).toMatch(/^toy: interrupted\nwhy: its process is gone.*\nnext: /);
  expect(await said({})).toBe(`toy: done\nnext: crosspatch show '${out}'\n`);
});

describe('progress', () => {
  const events: RunEvent[] = [
    { state: 'started', stage: 'finetune', done: 0 },
    { state: 'running', stage: 'finetune', done: 100, total: 300, unit: 'steps', figures: { loss: 0.51234 } },
    { state: 'running', stage: 'finetune', done: 200, total: 300, unit: 'steps', figures: { loss: 0.25 } },
    { state: 'cached', stage: 'data', done: 1, seconds: 3 },
    { state: 'done', stage: 'finetune', done: 1, seconds: 71 },
  ];
  const drawn = (tty: boolean, quiet = false) => {
    let time = 0;
    const cli = { ...fakeCli(), tty };
    const renderer = progressRenderer(cli, quiet, () => (time += 10_000));
    for (const event of events) renderer.onEvent(event);
    renderer.close();
    return cli.text;
  };

  it('is lines with count, rate and time left where there is no terminal', () => {
    expect(drawn(false).err).toBe(
      [
        '  finetune: started',
        'finetune: 200/300 steps · 10/s · 10 s left · loss 0.25',
        '· data: stored',
        '✓ finetune: 1 min 11 s',
        '',
      ].join('\n'),
    );
  });

  it('is bars on a terminal, erased before each redraw', () => {
    const { err } = drawn(true);
    expect(err).toContain(
      'finetune                 █████████████░░░░░░░ 200/300 steps · 10/s · 10 s left · loss 0.25\n',
    );
    expect(err).toContain('\u001b[1A\u001b[J✓ finetune: 1 min 11 s\n');
    expect(err.endsWith('✓ finetune: 1 min 11 s\n')).toBe(true);
  });

  it('never counts backwards, whatever loops a command is made of', async () => {
    for (const tty of [false, true]) {
      const cli = { ...fakeCli(), tty };
      vi.useFakeTimers({ toFake: ['performance'] });
      await withProgress(cli, {}, async (onProgress) => {
        for (const [stage, done, total] of [
          ['sweep', 1, 6],
          ['sweep', 5, 6],
          ['sweep.self', 3, 6],
          ['sweep', 1, 6],
          ['worth', 1, 1],
        ] as const) {
          vi.advanceTimersByTime(20_000);
          onProgress({ stage, done, total, unit: 'blocks' });
        }
      });
      vi.useRealTimers();
      const counts = [...cli.text.err.matchAll(/ *sweep.*? (\d+\/\d+) blocks/gm)].map(([, n]) => n);
      expect(counts).toEqual([...(tty ? ['1/6'] : []), '5/6', '8/12', '10/18', '11/19']);
    }
  });

  it('is nothing when quiet', () => {
    expect(drawn(true, true)).toEqual({ out: '', err: '' });
  });
});

it('the real process sets the exit code', async () => {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const run = promisify(execFile)(process.execPath, ['--import', loader, main, 'show', root]);
  await expect(run).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^error: .*no results\.json yet/),
  });
});
