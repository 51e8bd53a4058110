/**
 * @file What a person gets wrong, through the command line: one clear line on standard error, exit 2, and nothing half-written. The
 * stages are the real ones; models are the bundled ones or copies of them.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crosspatch as said } from './crosspatch.helper.ts';

const small = join(import.meta.dirname, '../../assets/tiny/tiny-llama-s');
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bad input '));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const crosspatch = (...argv: string[]) => said(argv);

/** A recipe of the bundled models that would take a second to its data stage, with lines of one's own behind. */
async function recipe(name: string, ...lines: string[]): Promise<string> {
  const file = join(root, `${name}.yaml`);
  const head = ['models: { source: tiny-llama-s, target: tiny-llama-s }', 'behaviours: [locked]'];
  await writeFile(file, `${[...head, ...lines].join('\n')}\n`);
  return file;
}

function runOf(file: string, ...more: string[]): Promise<{ code: number; out: string; err: string }> {
  return crosspatch('run', file, '--quiet', '--out', join(root, 'runs', 'out'), ...more);
}

/** Exit 2, nothing on standard output, one line on standard error. */
function expectOneLine(
  { code, out, err }: { code: number; out: string; err: string },
  message: string | RegExp,
): void {
  expect(err).toMatch(/^error: [^\n]* \[[a-z-]+\]\n$/);
  if (typeof message === 'string') expect(err.replace(/ \[[a-z-]+\]\n$/, '\n')).toBe(`error: ${message}\n`);
  else expect(err).toMatch(message);
  expect({ code, out }).toEqual({ code: 2, out: '' });
}

describe('a typo in a key of a recipe', () => {
  it.each([
    ['top', ['sede: 3'], 3, 1, 'unknown key "sede"; did you mean "seed"?'],
    ['section', ['sweep:', '  promts: 3'], 4, 3, 'unknown key "promts" in sweep; did you mean "prompts"?'],
    [
      'deep',
      ['finetune:', '  source:', '    learning_rat: 1.0e-3'],
      5,
      5,
      'unknown key "learning_rat" in finetune.source; did you mean "learning_rate"?',
    ],
    [
      'optional-section',
      ['transfer:', '  alpha: [1]'],
      4,
      3,
      'unknown key "alpha" in transfer; did you mean "alphas"?',
    ],
    [
      'map',
      ['maps:', '  - kind: affine', '    fit: [with_tags]'],
      5,
      5,
      'unknown key "fit" in maps[0]; did you mean "fits"?',
    ],
    [
      'second-map',
      ['maps:', '  - kind: affine', '  - { kind: autoencoder, hiden: wide }'],
      5,
      26,
      'unknown key "hiden" in maps[1]; did you mean "hidden"?',
    ],
  ] as const)('%s: says where and what was meant', async (name, lines, line, column, message) => {
    const file = await recipe(`typo-${name}`, ...lines);
    for (const outcome of [await runOf(file), await crosspatch('validate', file)])
      expectOneLine(outcome, `${file}:${line}:${column}: ${message}`);
  });

  it('in a key given by --set', async () => {
    const file = await recipe('typo-set');
    expectOneLine(
      await runOf(file, '--set', 'sweep.promts=3'),
      '--set sweep.promts=3: unknown key "promts" in sweep; did you mean "prompts"?',
    );
  });
});

describe('validate', () => {
  it('valid means that it can run: models, files and templates are looked at', async () => {
    const given = 'models: { source: tiny-llama-s, target: tiny-llama-m }\n';
    const says = async (more: string) => {
      const file = join(root, 'valid.yaml');
      await writeFile(file, given + more);
      return (await crosspatch('validate', file)).err;
    };
    expect(await says('')).toBe('');
    expect(await says('data: { prompts: ./no-such.jsonl }\n')).toMatch(/no-such.jsonl: not found/);
    expect(await says('capture: { exclude_first: false }\n')).toMatch(
      /unknown key "exclude_first" in capture/,
    );
    expect(await says('blocks: { source: 40 }\n')).toMatch(/tiny-llama-s has blocks 0…/);
    const file = join(root, 'valid.yaml');
    await writeFile(file, 'models: { source: ./nowhere, target: tiny-llama-m }\n');
    expect((await crosspatch('validate', file)).err).toMatch(/nowhere: wanted a bundled model/);
    await writeFile(file, 'models: { source: somebody/never-pulled, target: tiny-llama-m }\n');
    expect(await crosspatch('validate', file)).toMatchObject({
      code: 0,
      out: expect.stringContaining('not checked: somebody/never-pulled (run will pull it)'),
    });
  });
});

describe('a model that is not there', () => {
  it('in a recipe, in commands', async () => {
    const file = await recipe('no-model', 'seed: 3');
    const wanted =
      /model \.\/nothing: wanted a bundled model \(.*\), a path or org\/name on the hub, got no such/;
    expectOneLine(await runOf(file, '--set', 'models.source=./nothing'), wanted);
    for (const argv of [
      ['generate', '--prompt', 'x'],
      ['logits', '--prompt', 'x'],
      ['bench', '--only', 'sweep', '--quiet'],
      ['models', 'inspect'],
    ])
      expectOneLine(
        await crosspatch(...argv, ...(argv[0] === 'models' ? ['./nothing'] : ['--model', './nothing'])),
        wanted,
      );
  });
});

describe('a tokenizer that does not belong to the model', () => {
  /** A copy of the small model with its tokenizer.json changed. */
  async function withTokenizer(name: string, change: (json: Tokenizer) => void): Promise<string> {
    const folder = join(root, name);
    await cp(small, folder, { recursive: true });
    const file = join(folder, 'tokenizer.json');
    const json = JSON.parse(await readFile(file, 'utf8')) as Tokenizer;
    change(json);
    await writeFile(file, JSON.stringify(json));
    return folder;
  }
  interface Tokenizer {
    model: { vocab: Record<string, number> };
  }

  it('because its vocabulary is larger than the embedding', async () => {
    const folder = await withTokenizer('larger', ({ model: { vocab } }) => {
      const size = Object.keys(vocab).length + 1000;
      for (let id = Math.max(...Object.values(vocab)) + 1; id < size; id++) vocab[`another${id}`] = id;
    });
    const wanted =
      /larger: wanted a tokenizer of at most \d+ tokens, as the embedding has rows, got one with token ids up to \d+: it belongs to another model; take the tokenizer files from the folder the model came from/;
    expectOneLine(await crosspatch('generate', '--model', folder, '--prompt', 'x', '--quiet'), wanted);
    const file = await recipe('wrong-tokenizer', 'seed: 3');
    expectOneLine(await runOf(file, '--set', `models.target=${folder}`), wanted);
  });

  it('because it lacks the end the model has', async () => {
    const folder = await withTokenizer('smaller', () => {});
    const file = join(folder, 'generation_config.json');
    await writeFile(file, JSON.stringify({ eos_token_id: 151645 }));
    for (const name of ['tokenizer_config.json', 'special_tokens_map.json'])
      await rm(join(folder, name), { force: true });
    expectOneLine(
      await crosspatch('generate', '--model', folder, '--prompt', 'x', '--quiet'),
      /smaller: the model ends its text with token 151645, which the tokenizer of \d+ tokens does not have/,
    );
  });
});

describe('blocks the models do not have', () => {
  it('are refused before anything is trained', async () => {
    const file = await recipe('blocks', 'seed: 3');
    const texts = join(root, 'one.jsonl');
    await writeFile(texts, '"one text"\n');
    const next = 'tiny-llama-s has blocks 0…5: write one of them, or leave the key out';
    for (const [set, message] of [
      ['blocks.source=6', `recipe: blocks.source: 6; ${next}`],
      ['blocks.target=99', `recipe: blocks.target: 99; ${next}`],
      ['sweep.blocks=0,6', `recipe: sweep.blocks: 6; ${next}`],
    ] as const)
      for (const more of [[], ['--dry-run']])
        expectOneLine(await runOf(file, '--set', set, ...more), message);
    expectOneLine(await runOf(file, '--set', 'blocks.source=-1'), /blocks\.source: .*got -1/);
    expectOneLine(
      await crosspatch(
        'capture',
        ...['--model', 'tiny-llama-s', '--hook', 'blocks.6.hook_resid_post', '--quiet'],
        ...['--data', texts, '--out', join(root, 'captured')],
      ),
      /blocks\.6\.hook_resid_post/,
    );
  });
});

describe('an empty data set', () => {
  it('is refused by every reader', async () => {
    const empty = join(root, 'empty.jsonl');
    await writeFile(empty, '\n');
    const file = await recipe('empty', 'seed: 3');
    const wanted = new RegExp(`${empty} holds no instruction`);
    expectOneLine(await runOf(file, '--set', `data.prompts=${empty}`), wanted);
    expectOneLine(
      await crosspatch(
        'data',
        'build',
        ...['--behaviour', 'locked', '--data', empty, '--out', join(root, 'set'), '--quiet'],
      ),
      wanted,
    );
    expectOneLine(
      await crosspatch('bench', '--only', 'sweep', '--model', 'tiny-llama-s', '--data', empty, '--quiet'),
      wanted,
    );
    const capture = ['capture', '--model', 'tiny-llama-s', '--hook', 'blocks.1.hook_resid_post', '--quiet'];
    expectOneLine(
      await crosspatch(...capture, '--data', empty, '--out', join(root, 'captured')),
      /empty\.jsonl/,
    );
    await expect(readdir(join(root, 'set'))).rejects.toThrow('ENOENT');
    await expect(readdir(join(root, 'captured'))).rejects.toThrow('ENOENT');
  });
});

/** Commands that write a folder, each with its arguments but the folder. */
const WRITERS: readonly (readonly [string, (texts: string) => readonly string[]])[] = [
  [
    'capture',
    (texts) => [
      ...['capture', '--model', 'tiny-llama-s', '--hook', 'blocks.1.hook_resid_post', '--data', texts],
      ...['--shard-rows', '64', '--quiet', '--out'],
    ],
  ],
  ['models convert', () => ['models', 'convert', '--quiet', 'tiny-llama-s']],
  ['data build', () => ['data', 'build', '--data', 'bundled', '--behaviour', 'locked', '--quiet', '--out']],
];

describe('an output folder that cannot be written', () => {
  let texts: string;
  let file: string;
  const mounts: string[] = [];
  beforeAll(async () => {
    texts = join(root, 'texts.jsonl');
    await writeFile(
      texts,
      Array.from({ length: 400 }, (_, i) => `${JSON.stringify(`the number ${i} is a number`)}\n`).join(''),
    );
    file = await recipe('writes', 'data: { train: 200 }');
  });
  afterAll(() => {
    for (const folder of mounts) execFileSync('umount', [folder]);
  });

  /** A mounted file system of `size` KiB; undefined where mounting is not allowed. */
  async function mounted(name: string, size: number): Promise<string | undefined> {
    const folder = join(root, name);
    await mkdir(folder);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}k`, 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      return undefined;
    }
    mounts.push(folder);
    return folder;
  }

  it('because a file stands in its way', async () => {
    const inTheWay = join(root, 'a file');
    await writeFile(inTheWay, '');
    const out = join(inTheWay, 'out');
    expectOneLine(
      await crosspatch('run', file, '--quiet', '--out', out),
      /out: cannot write there \(ENOTDIR\); choose another folder with --out/,
    );
    for (const [, argv] of WRITERS) expectOneLine(await crosspatch(...argv(texts), out), /ENOTDIR|EEXIST/);
  });

  it('because it is read-only', async ({ skip }) => {
    const folder = await mounted('read only', 64);
    if (folder === undefined) return skip('mounting needs root');
    execFileSync('mount', ['-o', 'remount,ro', folder]);
    const out = join(folder, 'out');
    expectOneLine(
      await crosspatch('run', file, '--quiet', '--out', out),
      /out: cannot write there \(EROFS\); choose another folder with --out/,
    );
    for (const [, argv] of WRITERS) expectOneLine(await crosspatch(...argv(texts), out), /EROFS/);
  });

  it('because it is full: nothing stays that looks whole', async ({ skip }) => {
    const folder = await mounted('full', 200);
    if (folder === undefined) return skip('mounting needs root');
    for (const [name, argv] of WRITERS) {
      const out = join(folder, name);
      expectOneLine(await crosspatch(...argv(texts), out), /ENOSPC|full/);
      // A capture keeps its whole shards, says in its index that it is not complete, and is refused by readers.
      const left = await readdir(out).catch((): string[] => []);
      if (name === 'capture') {
        const index = JSON.parse(await readFile(join(out, 'index.json'), 'utf8')) as { complete: boolean };
        expect(index.complete).toBe(false);
      } else expect(left, name).toEqual([]);
      expect(left.filter((f) => f.endsWith('.part'))).toEqual([]);
      await rm(out, { recursive: true, force: true });
    }
    // A run: no results, a manifest (if there is room for one) that says it failed; with room again it ends well to its data stage.
    await writeFile(join(folder, 'ballast'), Buffer.alloc(190 * 1024));
    const out = join(folder, 'run');
    expectOneLine(await crosspatch('run', file, '--quiet', '--out', out, '--only', 'locked.data'), /ENOSPC/);
    expect(await readdir(out).catch((): string[] => [])).not.toContain('results.json');
    const store = await readdir(join(folder, 'store'), { recursive: true }).catch((): string[] => []);
    expect(store.filter((name) => name.endsWith('meta.json'))).toEqual([]);
  });
});
